"""Sign-ups in a CSV file (RFC 4180, UTF-8), each with its line. One bad line costs itself and nothing else."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from fixionmail.errors import InputError
from fixionmail.subscribers.sign_up import PREFERENCES, SignUp, sign_up

REQUIRED = ("email", "timezone", "delivery_time")
COLUMNS = (*REQUIRED, *PREFERENCES)
ENCODING, ENCODING_ERRORS = "utf-8-sig", "surrogateescape"
"""How to open such a file: with or without a byte order mark; a wrong byte is found by line, not by an exception."""

MAX_LINE = 65_536
"""Characters of one line. What is longer is not read into memory."""
MAX_LINES_PER_RECORD = 10
"""A quoted cell may hold line breaks, but a quotation mark that is never closed must not swallow the file."""

_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class GoodLine:
    """A sign-up that can be stored, and the line on which it begins."""

    line: int
    sign_up: SignUp


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """A line that was left out, and why."""

    line: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Record:
    line: int
    cells: Sequence[str]


def read_sign_ups(stream: TextIO) -> Iterator[GoodLine | BadLine]:
    """Read the header now and the lines as they are asked for; empty lines are passed over.

    Args:
        stream: opened with :data:`ENCODING` and :data:`ENCODING_ERRORS`.

    Raises:
        InputError: the header does not name the columns.
    """
    lines = _lines(stream)
    columns = _columns(next(lines, ""))
    return _checked(columns, lines)


def _checked(columns: Sequence[str], lines: Iterator[str]) -> Iterator[GoodLine | BadLine]:
    first_lines: dict[str, int] = {}
    for record in _records(lines, len(columns)):
        if isinstance(record, BadLine):
            yield record
            continue
        try:
            wanted = _sign_up(dict(zip(columns, record.cells, strict=True)))
        except InputError as error:
            yield BadLine(line=record.line, reason=str(error))
            continue
        first = first_lines.setdefault(wanted.email.lower(), record.line)
        if first == record.line:
            yield GoodLine(line=record.line, sign_up=wanted)
        else:
            yield BadLine(line=record.line, reason=f"{wanted.email} is on line {first} already.")


def _sign_up(cells: dict[str, str]) -> SignUp:
    return sign_up(
        email=cells["email"],
        timezone=cells["timezone"],
        delivery_time=cells["delivery_time"],
        preferences={name: cells[name] for name in PREFERENCES if name in cells},
    )


def _lines(stream: TextIO) -> Iterator[str]:
    """The lines, of each at most the first :data:`MAX_LINE` characters."""
    while line := stream.readline(MAX_LINE):
        yield line
        while len(line) == MAX_LINE and not line.endswith("\n"):
            line = stream.readline(MAX_LINE)


def _columns(header: str) -> Sequence[str]:
    columns = [cell.strip().lower() for cell in _parsed([header]) or []]
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in COLUMNS]
    if not header.strip():
        problem = "it is empty"
    elif "\0" in header:
        problem = "it holds NUL bytes: save the file as UTF-8"
    elif missing:
        problem = f"it lacks {', '.join(missing)} and reads {header.strip()[:_SHOWN]!r}"
    elif unknown:
        problem = f"it names {', '.join(map(repr, unknown))[:_SHOWN]}, which FixionMail does not know"
    elif len(columns) > len(set(columns)):
        problem = "it names a column twice"
    else:
        return columns
    raise InputError(
        f"Line 1 must name the columns, separated by commas: {', '.join(REQUIRED)}, and if you like "
        f"{', '.join(PREFERENCES)}. But {problem}."
    )


def _records(lines: Iterator[str], width: int) -> Iterator[_Record | BadLine]:
    """Records of ``width`` cells. A record that is not closed within a few lines is one bad line."""
    ahead: deque[str] = deque()
    line = 2  # after the header
    while _fill(ahead, lines, 1):
        size = _lines_of_record(ahead, lines, width)
        record = _record(line, list(islice(ahead, size)), width)
        if record is not None:
            yield record
        for _ in range(size):
            ahead.popleft()
        line += size


def _lines_of_record(ahead: deque[str], lines: Iterator[str], width: int) -> int:
    """How many lines the next record takes: one, or more when that completes a quoted cell."""
    for size in range(1, MAX_LINES_PER_RECORD + 1):
        if not _fill(ahead, lines, size):
            break
        cells = _parsed(list(islice(ahead, size)))
        if cells is not None:
            return size if len(cells) == width else 1
    return 1


def _fill(ahead: deque[str], lines: Iterator[str], size: int) -> bool:
    """Read ahead until there are ``size`` lines; False when the file ends before."""
    ahead.extend(islice(lines, size - len(ahead)) if size > len(ahead) else ())
    return len(ahead) >= size


def _record(line: int, text: Sequence[str], width: int) -> _Record | BadLine | None:
    """One record, or what is wrong with it; None for an empty line."""
    cells = _parsed(text)
    reason = _damage(text)
    if reason is None and cells is None:
        reason = "A quotation mark is not closed, or something other than a comma follows it."
    if reason is not None or cells is None:
        return BadLine(line=line, reason=reason or "")
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) != width:
        return BadLine(line=line, reason=_wrong_width(len(cells), width))
    return _Record(line=line, cells=cells)


def _damage(text: Sequence[str]) -> str | None:
    """What tells that these lines are not text as it was written."""
    joined = "".join(text)
    if max(map(len, text)) >= MAX_LINE:
        return f"The line is longer than {MAX_LINE} characters."
    if "\0" in joined:
        return "The line holds NUL bytes: was the file written to its end?"
    try:
        joined.encode()
    except UnicodeEncodeError:
        return "The line is not UTF-8 text: save the file as UTF-8."
    return None


def _wrong_width(found: int, width: int) -> str:
    hint = "is it cut short?" if found < width else "does a cell with a comma lack quotation marks?"
    return f"The line has {found} of {width} columns: {hint}"


def _parsed(text: Sequence[str]) -> list[str] | None:
    """The cells of one record; None when it is not one whole record."""
    try:
        rows = list(csv.reader(text, strict=True))
    except csv.Error:
        return None
    return rows[0] if rows else []
