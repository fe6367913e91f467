"""Chance that falls the same way every time: on every machine, in every process, in every Python version."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def seed(text: str) -> int:
    """A number that depends on the text alone, unlike ``hash``."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Dice:
    """A row of choices fixed by ``text``.

    Only ``random()`` is drawn from: of all the methods of :class:`random.Random`, its sequence alone is promised to
    stay the same between versions of Python.
    """

    def __init__(self, text: str) -> None:
        self._draw = random.Random(seed(text)).random

    def choose(self, options: Sequence[T]) -> T:
        """One of the options, which must not be empty."""
        return options[int(self._draw() * len(options))]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All of the options, in a drawn order."""
        keyed = [(self._draw(), option) for option in options]
        return [option for _, option in sorted(keyed, key=lambda pair: pair[0])]
