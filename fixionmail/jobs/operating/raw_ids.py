"""Ids that are not UTF-8, as text that is shown, typed, and turned back: ``\\xff`` stands for the byte.

RQ writes no such ids; something else did. An id that holds those four characters themselves is taken for the byte.
"""

from __future__ import annotations

import re

_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")  # no byte below 0x80 is ever wrong in UTF-8


def text_of_id(raw: bytes) -> str:
    """The id as text, from which ``raw_id`` makes the same bytes again."""
    return raw.decode("utf-8", "backslashreplace")


def raw_id(text: str) -> bytes:
    """The bytes of an id that ``text_of_id`` named, or that somebody typed."""
    return _BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode("utf-8", "surrogateescape"))
