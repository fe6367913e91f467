"""Searching jobs by id, function, error text and words: in steps, with progress, ended by not asking for more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fixionmail.jobs.worker.scripts import Argument
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.filters import JobFilter
from fixionmail.ops.reading import error_of
from fixionmail.ops.rows import row_of
from fixionmail.ops.views.jobs import JobRow
from fixionmail.ops.walking import sources, step_script, steps

_SEARCH = step_script("search")
FOUND_LIMIT = 1000
SEARCHED_LIMIT = 1_000_000


@dataclass(frozen=True, kw_only=True)
class SearchStep:
    """What a step of a search came to.

    Attributes:
        rows: found in this step.
        searched: jobs looked at so far, of ``total``.
        found: rows so far.
        commands: Redis commands so far.
        finished: this is the last step.
        note: why the search ended early, if it did.
    """

    rows: tuple[JobRow, ...]
    searched: int
    total: int
    found: int
    commands: int
    finished: bool = False
    note: str = ""


def search(
    reader: RedisReader,
    wanted: JobFilter,
    now: datetime,
    *,
    limit: int = FOUND_LIMIT,
    bound: int = SEARCHED_LIMIT,
) -> Iterator[SearchStep]:
    """Look for jobs, newest first in each list and registry. It goes on only while somebody asks for more.

    Args:
        reader: the Redis.
        wanted: what they must be like.
        now: from when ages count.
        limit: end when so many are found.
        bound: end when so many were looked at.

    Raises:
        RedisUnreachableError: with the reason in words; what was found so far stands.
    """
    before = reader.commands
    places = sources(reader, wanted.searched_states, wanted.queue)
    total = sum(place.count for place in places)
    searched = found = 0
    for _, visited, replies in steps(reader, _SEARCH, places, _arguments(wanted, now)):
        searched += visited
        rows = _matching(replies, wanted, now)[: limit - found]
        found += len(rows)
        note = _end(found >= limit, searched >= bound, limit=limit, searched=searched, total=total)
        yield SearchStep(
            rows=rows,
            searched=searched,
            total=total,
            found=found,
            commands=reader.commands - before,
            finished=bool(note),
            note=note,
        )
        if note:
            return
    yield SearchStep(
        rows=(), searched=searched, total=total, found=found, commands=reader.commands - before, finished=True
    )


def _end(enough: bool, far: bool, *, limit: int, searched: int, total: int) -> str:
    if enough:
        return f"These are the first {limit:,}; there may be more: narrow the search."
    return f"{searched:,} of {total:,} jobs were searched, the newest of each state first." if far else ""


def _matching(replies: list[Any], wanted: JobFilter, now: datetime) -> tuple[JobRow, ...]:
    return tuple(
        row for reply in replies if wanted.matches(row := row_of(reply), error_of(reply[6], reply[5]), now)
    )


def _arguments(wanted: JobFilter, now: datetime) -> tuple[Argument, ...]:
    """What the script can decide by itself; it knows lower case of ASCII only."""
    return (
        _plain(wanted.id_part),
        _plain(wanted.function),
        _text(now, wanted.newer),
        _text(now, wanted.older),
        *filter(None, map(_plain, wanted.words)),
    )


def _plain(text: str) -> str:
    return text if text.isascii() else ""


def _text(now: datetime, ago: timedelta | None) -> str:
    if ago is None:
        return ""
    return (now - ago).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
