"""Prose with gaps: ``{slot}`` is filled in, ``[this|that]`` is chosen. No nesting, no code.

A slot written with a capital (``{They}``) is filled in with a capital.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fixionmail.stories.tale.dice import Dice

_PIECE = re.compile(r"\{([^{}]+)\}|\[([^\[\]]+)\]|([^{}\[\]]+)")
_GAP = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, kw_only=True)
class Template:
    """A piece of prose, ready to be filled in as often as wanted."""

    pieces: tuple[tuple[str, ...], ...]
    """Each piece has one form, or several to choose from; gaps are still in them."""
    gaps: frozenset[str]
    """The slots it asks for, in lower case."""

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template.

        Raises:
            ValueError: a bracket is not closed, or stands inside another.
        """
        pieces: list[tuple[str, ...]] = []
        end = 0
        for match in _PIECE.finditer(text):
            if match.start() != end:
                break
            end = match.end()
            choice = match[2]
            pieces.append(tuple(choice.split("|")) if choice else (match[0],))
        if end != len(text):
            raise ValueError(f"Stray bracket in the template near {text[end : end + 40]!r}.")
        return cls(pieces=tuple(pieces), gaps=frozenset(_lowered(gap) for gap in _GAP.findall(text)))

    def fill(self, slots: Mapping[str, str], dice: Dice) -> str:
        """The text with every choice made and every slot filled in.

        Raises:
            KeyError: a slot is unknown.
        """
        text = "".join(piece[0] if len(piece) == 1 else dice.choose(piece) for piece in self.pieces)
        return _GAP.sub(lambda gap: _filled(gap[1], slots), text)


def _filled(gap: str, slots: Mapping[str, str]) -> str:
    value = slots[_lowered(gap)]
    return value[:1].upper() + value[1:] if gap[0].isupper() else value


def _lowered(gap: str) -> str:
    return gap[0].lower() + gap[1:]
