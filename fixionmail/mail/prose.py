"""Story text on its way into a mail: hostile until it has been through here."""

from __future__ import annotations

import re
from datetime import date
from itertools import groupby

MAX_SUBJECT = 150
"""Characters; inboxes show about half of it."""
LINE_WIDTH = 72
"""Characters in a line of the plain-text part, so that it can still be quoted within 78 (RFC 5322, 2.1.1)."""
MAX_SCENE_BREAK = 15

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_UNSENDABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # bidi embeddings, overrides and isolates
_SCENE_BREAK_CHARACTERS = "*·•⁂#~_–— -"
_LINE = re.compile(rf"(?! )(?:.{{1,{LINE_WIDTH}}}(?= |$)|\S+)")


def subject_of(title: str) -> str:
    """The title on one line, bounded, without control characters or marks that reorder text; it may be empty."""
    line = " ".join(_REORDERING.sub("", _sendable(" ".join(title.split()))).split())
    if not is_visible(line):
        return ""
    if len(line) <= MAX_SUBJECT:
        return line
    cut = line[: MAX_SUBJECT - 1]
    head, space, tail = cut.rpartition(" ")
    return (head if space and len(tail) < MAX_SUBJECT // 3 else cut).rstrip(" ,;:\u200d\ufe0f") + "…"


def paragraphs(body: str) -> list[list[str]]:
    """Paragraphs, each as its lines; nothing in them that cannot be sent, and none that is blank."""
    lines = map(_sendable, body.splitlines())
    return [list(group) for visible, group in groupby(lines, key=is_visible) if visible]


def is_scene_break(lines: list[str]) -> bool:
    """Whether a paragraph is only the mark that parts two scenes, like ``* * *``."""
    return (
        len(lines) == 1 and len(lines[0]) <= MAX_SCENE_BREAK and not lines[0].strip(_SCENE_BREAK_CHARACTERS)
    )


def wrapped(line: str) -> str:
    """A line broken at spaces; a word that is longer than a line stays whole."""
    return "\n".join(_LINE.findall(line))


def date_in_words(day: date) -> str:
    """Like ``Tuesday, 24 November 2026``, whatever the locale."""
    return f"{_WEEKDAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


def is_visible(text: str) -> bool:
    """Whether a reader would see anything of it."""
    if text.isascii() and text.isprintable():
        return not (text.isspace() or text == "")
    return any(character.isprintable() and not character.isspace() for character in text)


def _sendable(line: str) -> str:
    return (line if line.isprintable() else _UNSENDABLE.sub("", line)).strip()
