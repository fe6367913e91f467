"""Reading what RQ wrote: text, moments and calls out of bytes that may hold anything. Nothing is ever unpickled."""

from __future__ import annotations

import binascii
import json
import math
import re
import zlib
from base64 import b64decode
from datetime import UTC, datetime

TEXT_LIMIT = 65_536
"""Characters of a payload or an error that are shown."""
_UNPACKED_LIMIT = 4 * TEXT_LIMIT
_FUNCTION = re.compile(r"^([\w.<>]+)\(")


def text_of(raw: object) -> str:
    """Bytes as text, whatever they are; nothing is empty."""
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "replace")
    return "" if raw is None else str(raw)


def number_of(raw: object) -> float | None:
    """A finite number, if it is one."""
    try:
        value = float(text_of(raw))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole_of(raw: object) -> int | None:
    """A whole number, if it is one."""
    value = number_of(raw)
    return None if value is None else int(value)


def moment_of(raw: object) -> datetime | None:
    """An instant, from RQ's text form or from seconds since 1970."""
    text = text_of(raw).strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text) if "-" in text[1:] else datetime.fromtimestamp(float(text), UTC)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def function_of(description: object) -> str:
    """What a job calls, by its description; a description in words is shown as it is."""
    text = " ".join(text_of(description).split())
    called = _FUNCTION.match(text)
    return called[1] if called else text


def unpacked(raw: bytes, limit: int = _UNPACKED_LIMIT) -> bytes:
    """``raw`` uncompressed if it was compressed, at most ``limit`` bytes of it."""
    if raw[:1] != b"\x78":  # how zlib's streams begin
        return raw
    try:
        return zlib.decompressobj().decompress(raw, limit)
    except zlib.error:
        return raw


def error_of(hash_field: object, result: object) -> str:
    """A traceback, from the job's newest result (base64 of zlib) or its own field (zlib, or plain in old versions)."""
    if isinstance(result, bytes) and result:
        try:
            return text_of(unpacked(b64decode(result)))
        except (binascii.Error, ValueError):
            return text_of(result)
    return text_of(unpacked(hash_field)) if isinstance(hash_field, bytes) else ""


def last_line(error: str) -> str:
    """What a traceback comes to."""
    return next((line.strip() for line in reversed(error.splitlines()) if line.strip()), "")


def payload_of(raw: bytes | None, size: int) -> tuple[str, str]:
    """A job's payload as text, and the function it names if it says so in JSON.

    Args:
        raw: the field ``data``, or the beginning of it.
        size: how long the field is.
    """
    if raw is None:
        return (f"{size} bytes, too many to show" if size else ""), ""
    data = unpacked(raw)
    try:
        call = json.loads(data)
    except (ValueError, RecursionError):
        return f"{_kind_of(data)}, {size} bytes, not read", ""
    function = call[0] if isinstance(call, list) and call and isinstance(call[0], str) else ""
    return json.dumps(call, indent=2, ensure_ascii=False)[:TEXT_LIMIT], function


def _kind_of(data: bytes) -> str:
    if data[:1] == b"\x80":  # PROTO, the first opcode of every pickle since protocol 2
        return "pickled"
    return "JSON that is too long or broken" if data[:1] in (b"[", b"{") else "in a form nobody here knows"
