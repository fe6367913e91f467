"""Text as the database and the mail can carry it.

Postgres refuses NUL in ``text`` and ``jsonb`` (error 22P05), JSON clients refuse lone surrogates, and a bidirectional
override lets a title show other words than it holds.
"""

from __future__ import annotations

import re

_LINE_ENDS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_UNWANTED = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # control characters, but for the line ends above and the tab
    r"\ud800-\udfff"  # halves of a surrogate pair
    r"\u202a-\u202e\u2066-\u2069"  # bidirectional embeddings, overrides and isolates
    r"\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
# Looked at from the start of a run only, and never given back: linear in long runs of blanks.
_SPACE_AT_LINE_END = re.compile(r"(?<![ \xa0])[ \xa0]++(?=\n|$)")
_BLANK_LINES = re.compile(r"\n{2,}")


def clean_text(text: str) -> str:
    """``text`` without control characters; lines end in a newline, paragraphs are parted by one blank line."""
    text = _UNWANTED.sub("", _LINE_ENDS.sub("\n", text)).replace("\t", " ")
    return _BLANK_LINES.sub("\n\n", _SPACE_AT_LINE_END.sub("", text)).strip()
