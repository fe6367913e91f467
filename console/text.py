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

_JOINING = re.compile("[\u200c\u200d\ufe00-\ufe0f]")
"""What joins emoji: terminals disagree about how wide the result is, so the parts are shown one by one."""


def safe(text: str) -> str:
    """``text`` as one harmless line: every run of white space is a space, what is no visible character is ``·``."""
    return _harmless(" ".join(text[:LONGEST_LINE].split()))


def safe_lines(text: str) -> list[str]:
    """``text`` as harmless lines; indentation stays, and what is too long to show is said to be cut."""
    lines = text.expandtabs(4).splitlines()
    kept = [_harmless(line[:LONGEST_LINE].rstrip()) for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        kept.append(f"… {len(lines) - MOST_LINES} more lines")
    return kept


def typed(text: str) -> str:
    """``text`` as it may stand in a line that somebody types in: white space is spaces, what is not visible is gone."""
    joined = _JOINING.sub("", text[:LONGEST_LINE])
    return "".join(" " if c.isspace() else c for c in joined if c.isspace() or c.isprintable())


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


def _harmless(line: str) -> str:
    """Control characters, direction marks, halves of pairs and characters nobody knows are not printable."""
    joined = _JOINING.sub("", line)
    return joined if joined.isprintable() else "".join(c if c.isprintable() else "·" for c in joined)
