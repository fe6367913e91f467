"""Failed jobs grouped by what went wrong: one line for a hundred thousand failures of one cause."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fixionmail.ops.connection import RedisReader
from fixionmail.ops.reading import error_of, text_of
from fixionmail.ops.views.jobs import FailureGroup
from fixionmail.ops.walking import sources, step_script, steps

_STEP = step_script("failures")
SAMPLE_IDS = 5
TREND_HOURS = 24
_TELL_EVERY_SECONDS = 0.25
_REMEMBERED = 20_000
"""Tracebacks whose fingerprint is kept while grouping."""
_LINE_LIMIT = 300
_NO_ERROR = "(no error is on record)"
_VARIABLE = (
    (re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"]+", re.I), "<url>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<address>"),
    (re.compile(r"(?<![\w/])(?:~|\.{1,2})?/[^\s'\":,)]+"), "<path>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.I), "<id>"),
    (re.compile(r"\b(?:0x)?(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.I), "<id>"),
    (re.compile(r"\d+(?:[.:,]\d+)*"), "<n>"),
)


@dataclass(frozen=True, kw_only=True)
class FailuresStep:
    """Groups so far, the largest first. ``searched`` of ``total`` failed jobs are in them."""

    groups: tuple[FailureGroup, ...]
    searched: int
    total: int
    commands: int
    finished: bool


@dataclass(kw_only=True)
class _Group:
    fingerprint: str
    error: str
    count: int = 0
    queues: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)
    first: int = 0
    last: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, function: str, seconds: int, job_id: bytes) -> None:
        """Put in one failed job; ``seconds`` is when it ended, or -1."""
        self.count += 1
        self.functions[function] += 1
        if seconds >= 0:
            self.hours[seconds // 3600] += 1
            self.first = min(self.first or seconds, seconds)
            self.last = max(self.last, seconds)
        if len(self.ids) < SAMPLE_IDS:
            self.ids.append(text_of(job_id))

    def view(self, this_hour: int) -> FailureGroup:
        """The group as it is shown."""
        return FailureGroup(
            fingerprint=self.fingerprint,
            error=self.error,
            count=self.count,
            queues=dict(self.queues.most_common()),
            functions=dict(self.functions.most_common()),
            first_at=datetime.fromtimestamp(self.first, UTC) if self.first else None,
            last_at=datetime.fromtimestamp(self.last, UTC) if self.last else None,
            per_hour=tuple(
                self.hours.get(hour, 0) for hour in range(this_hour - TREND_HOURS + 1, this_hour + 1)
            ),
            sample_ids=tuple(self.ids),
        )


def grouped(reader: RedisReader, now: datetime, *, queue: str = "") -> Iterator[FailuresStep]:
    """Group all failed jobs; tells a few times a second how far it is, and ends when nobody asks for more.

    Args:
        reader: the Redis.
        now: the end of the trend.
        queue: one queue's name; empty for all.

    Raises:
        RedisUnreachableError: with the reason in words.
    """
    before = reader.commands
    places = sources(reader, ("failed",), queue)
    total = sum(place.count for place in places)
    groups: dict[str, _Group] = {}
    errors = _Errors()
    this_hour, searched, tell_at = int(now.timestamp() // 3600), 0, 0.0

    def step(*, finished: bool) -> FailuresStep:
        ordered = sorted(groups.values(), key=lambda group: -group.count)
        views = tuple(group.view(this_hour) for group in ordered)
        commands = reader.commands - before
        return FailuresStep(
            groups=views, searched=searched, total=total, commands=commands, finished=finished
        )

    for place, visited, found in steps(reader, _STEP, places):
        searched += visited
        packed, owns, functions, jobs = found
        names = [text_of(function).rstrip("(") for function in functions]
        of_error = [
            _group(groups, *errors.fingerprint(each, own=bool(own)))
            for each, own in zip(packed, owns, strict=True)
        ]
        for number, function, seconds, job_id in zip(*(jobs[at::4] for at in range(4)), strict=True):
            of_error[number].add(names[function], seconds, job_id)
            of_error[number].queues[place.name] += 1
        if time.monotonic() >= tell_at:
            tell_at = time.monotonic() + _TELL_EVERY_SECONDS
            yield step(finished=False)
    yield step(finished=True)


def _group(groups: dict[str, _Group], mark: str, error: str) -> _Group:
    return groups.get(mark) or groups.setdefault(mark, _Group(fingerprint=mark, error=error))


class _Errors:
    """Fingerprints of packed tracebacks; equal ones are unpacked once."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, str]] = {}

    def fingerprint(self, packed: bytes, *, own: bool) -> tuple[str, str]:
        """The fingerprint and the error that all with this fingerprint share."""
        known = self._known.get(packed)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = fingerprint(error_of(packed, None) if own else error_of(None, packed))
            self._known[packed] = known
        return known


def fingerprint(error: str) -> tuple[str, str]:
    """What a traceback has in common with others of the same cause: a short mark, and the error in words.

    It is the error's type and its last line, without ids, numbers, addresses, URLs and paths.
    """
    text = _what_went_wrong(error) or _NO_ERROR
    for pattern, placeholder in _VARIABLE:
        text = pattern.sub(placeholder, text)
    return hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:12], text


def _what_went_wrong(error: str) -> str:
    """The line with the error's type, and the last line where that is another one."""
    lines = [line for line in error.splitlines() if line.strip()]
    if not lines:
        return ""
    last = lines[-1].strip()[:_LINE_LIMIT]
    frames = [at for at, line in enumerate(lines) if line.startswith("  ")]
    named = lines[frames[-1] + 1] if frames and frames[-1] + 1 < len(lines) else lines[-1]
    kind = named.partition(":")[0].strip()[:_LINE_LIMIT]
    return last if last.startswith(kind) else f"{kind}: … {last}"
