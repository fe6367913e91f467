"""The one way from foreign text to the screen: nothing in it is markup, steers the terminal or breaks a line.

Everything that Redis, the database, a log or a provider says passes through here before a widget shows it.
"""

from __future__ import annotations

import re

from textual.content import Content

LONGEST_LINE = 2000
"""Characters of one line that are looked at; no screen is wider."""
MOST_LINES = 2000
"""Lines of one text that are shown, such as a traceback."""

_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: colours, cursor movements, bells
    "\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"  # invisible, joining and direction marks
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e0fff]"  # bytes that were no text, annotations, tags
)


def safe(text: str) -> str:
    """``text`` as one harmless line: every run of white space is a space, what steers a terminal is shown as ``·``."""
    return _STEERING.sub(_shown, " ".join(text[:LONGEST_LINE].split()))


def safe_lines(text: str) -> list[str]:
    """``text`` as harmless lines; indentation stays, and what is too long to show is said to be cut."""
    lines = text.expandtabs(4).splitlines()
    kept = [_STEERING.sub(_shown, line[:LONGEST_LINE].rstrip()) for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        kept.append(f"… {len(lines) - MOST_LINES} more lines")
    return kept


def plain(text: str, style: str = "") -> Content:
    """Foreign text as one line of content, in a style of ours."""
    return Content.styled(safe(text), style) if style else Content(safe(text))


def block(text: str, style: str = "") -> Content:
    """Foreign text as lines of content."""
    joined = "\n".join(safe_lines(text))
    return Content.styled(joined, style) if style else Content(joined)


def fit(content: Content, width: int, *, right: bool = False) -> Content:
    """``content`` in exactly ``width`` cells: cut with an ellipsis, or padded on one side."""
    if width <= 0:
        return Content("")
    short = content.truncate(width, ellipsis=True)
    missing = width - short.cell_length
    return short.pad_left(missing) if right else short.pad_right(missing)


def beside(left: Content, right: Content, width: int) -> Content:
    """Two contents on one line of ``width`` cells, at its two ends; the left one gives way."""
    room = width - right.cell_length - (1 if right else 0)
    if room < 8:
        return fit(left, width)
    return Content.assemble(fit(left, room), " " if right else "", right)


def _shown(found: re.Match[str]) -> str:
    mark = found.group()
    joins = "\u200c" <= mark <= "\u200d" or "\ufe00" <= mark <= "\ufe0f"  # parts of an emoji: leave them out
    return "" if joins else "·"
