"""How long the current piece of work may still take.

Threads cannot be interrupted from outside, so the limit travels with the work: whoever runs a job opens a
:func:`limit`, and code that waits asks :func:`remaining` for its network timeout and :func:`check` between steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fixionmail.errors import DeadlineExceededError


class Limit:
    """One open limit. Its ``cancel`` may be called from any thread."""

    __slots__ = ("_ends_at", "_outer")

    def __init__(self, seconds: float, outer: Limit | None) -> None:
        self._ends_at = time.monotonic() + seconds
        self._outer = outer

    def cancel(self) -> None:
        """End the time now: the work's next look at it raises, in inner limits too."""
        self._ends_at = -math.inf

    def left(self) -> float:
        """Seconds until this limit, or an outer one that ends sooner; negative when it is over."""
        left = self._ends_at - time.monotonic()
        return left if self._outer is None else min(left, self._outer.left())


_limit: ContextVar[Limit | None] = ContextVar("deadline_limit", default=None)


@contextmanager
def limit(seconds: float) -> Iterator[Limit]:
    """Allow the enclosed work ``seconds`` from now; an outer limit that ends sooner still holds."""
    opened = Limit(seconds, _limit.get())
    token = _limit.set(opened)
    try:
        yield opened
    finally:
        _limit.reset(token)


def remaining(at_most: float) -> float:
    """Seconds the current work may still take, but never more than ``at_most``.

    Raises:
        DeadlineExceededError: nothing is left.
    """
    current = _limit.get()
    if current is None:
        return at_most
    left = current.left()
    if left <= 0:
        raise DeadlineExceededError("The time allowed for this work is over.")
    return min(left, at_most)


def check() -> None:
    """Stop here when the time is over.

    Raises:
        DeadlineExceededError: nothing is left.
    """
    remaining(0.0)
