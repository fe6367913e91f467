"""What a subscriber can wish for beyond words: how fierce, how long and in which language; with bounds and defaults."""

from __future__ import annotations

from fixionmail.errors import InputError

WISHES = ("intensity", "length", "language")
MILDEST, FIERCEST, USUAL_INTENSITY = 1, 5, 3
SHORTEST, LONGEST, USUAL_LENGTH = 300, 3_000, 900
"""Words."""
LANGUAGES = (
    "English",
    "German",
    "French",
    "Spanish",
    "Italian",
    "Portuguese",
    "Dutch",
    "Polish",
    "Swedish",
    "Russian",
    "Greek",
    "Japanese",
    "Chinese",
    "Korean",
    "Arabic",
)


def check_wish(name: str, text: str) -> str:
    """A wish in the form in which it is stored; empty takes it back.

    Args:
        name: ``intensity``, ``length`` or ``language``.
        text: what was written for it.

    Raises:
        InputError: it is out of bounds.
    """
    text = text.strip()
    if not text:
        return ""
    match name:
        case "intensity":
            return str(_number(name, text, MILDEST, FIERCEST))
        case "length":
            return str(_number(f"{name} in words", text, SHORTEST, LONGEST))
    found = _known_language(text)
    if found is None:
        raise InputError(
            f"{text[:60]!r} is not a language that stories are written in: {', '.join(LANGUAGES)}."
        )
    return found


def intensity(stored: object) -> int:
    """The intensity that a bible asks for, or the usual one."""
    return _within(stored, MILDEST, FIERCEST, USUAL_INTENSITY)


def length(stored: object) -> int:
    """The length in words that a bible asks for, or the usual one."""
    return _within(stored, SHORTEST, LONGEST, USUAL_LENGTH)


def language(stored: object) -> str:
    """The language that a bible asks for, or English."""
    return _known_language(str(stored or "")) or LANGUAGES[0]


def _known_language(text: str) -> str | None:
    return next((name for name in LANGUAGES if name.casefold() == text.strip().casefold()), None)


def _number(what: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and least <= int(text) <= most):
        raise InputError(f"The {what} is {text[:60]!r}; it must be a number from {least} to {most}.")
    return int(text)


def _within(stored: object, least: int, most: int, usual: int) -> int:
    text = str(stored)
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return usual
    return int(text) if least <= int(text) <= most else usual
