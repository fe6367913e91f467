"""Whether Redis agrees with itself and with the database: every list, registry and record, in steps of milliseconds.

Jobs move while they are audited. What looks wrong is therefore looked at twice, and told only when it still is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fixionmail.ops.audit_findings import Oddities
from fixionmail.ops.connection import RedisReader, load_script
from fixionmail.ops.reading import text_of
from fixionmail.ops.rows import STATES
from fixionmail.ops.views.findings import Finding
from fixionmail.ops.walking import Source, sources, step_script, steps

_ENTRIES = step_script("audit_entries")
_REGISTRY = load_script("rows", "places", "walk", "audit_common", "audit_registry")
_RECORDS = load_script("audit_common", "audit_records")
_IDS = load_script("audit_common", "audit_ids")
_WORKERS = load_script("rows", "audit_workers")
_LISTS = ("queued", "limbo")
_REGISTRIES = tuple(state for state in STATES if state not in _LISTS)
_IDS_PER_COMMAND = 500


@dataclass(frozen=True, kw_only=True)
class AuditStep:
    """How far an audit is. ``findings`` are those so far that stand; all of them in the last step."""

    what: str
    done: int
    total: int
    commands: int
    findings: tuple[Finding, ...] = ()
    finished: bool = False


@dataclass(frozen=True, kw_only=True)
class DatabaseSide:
    """What the database says.

    Attributes:
        unknown: Of these ids of RQ jobs, those that stand for nothing in the database.
        announced: Ids of RQ jobs that were rung and that nobody has picked up since, in parts.
    """

    unknown: Callable[[Sequence[str]], Collection[str]]
    announced: Callable[[], Iterator[Sequence[str]]]


def audit(reader: RedisReader, database: DatabaseSide | None = None) -> Iterator[AuditStep]:
    """Audit everything; it goes on only while somebody asks for more.

    Raises:
        RedisUnreachableError: with the reason in words.
        FixionMailError: of the database.
    """
    yield from _Audit(reader, database).run()


class _Audit:
    def __init__(self, reader: RedisReader, database: DatabaseSide | None) -> None:
        self._reader = reader
        self._database = database
        self._sent_before = reader.commands
        self._odd = Oddities()
        self._listed: set[bytes] = set()
        self._twice: Counter[bytes] = Counter()
        self._queued: set[bytes] = set()
        self._confirmed: Counter[bytes] = Counter()
        self._lost: list[bytes] = []
        self._done = self._total = 0

    def run(self) -> Iterator[AuditStep]:
        keys, gone, orphans = self._reader.run(_WORKERS)
        self._odd.add("worker-gone", gone)
        lists = sources(self._reader, _LISTS)
        registries = sources(self._reader, _REGISTRIES)
        self._total = keys + sum(place.count for place in lists)
        yield from self._read_lists(lists, self._listed)
        yield from self._read_records()
        yield from self._compare_registries(
            [
                place
                for place in registries
                if place.state == "started" or self._confirmed[_name(place)] != place.count
            ]
        )
        yield from self._settle_lists()
        self._settle_executions(orphans)
        if self._database is not None:
            yield from self._compare_with_database(self._database)
        self._done = self._total
        yield self._step("done", finished=True)

    def _step(self, what: str, *, finished: bool = False) -> AuditStep:
        return AuditStep(
            what=what,
            done=min(self._done, self._total),
            total=self._total,
            commands=self._reader.commands - self._sent_before,
            findings=self._odd.findings(),
            finished=finished,
        )

    def _read_lists(self, lists: Sequence[Source], into: set[bytes]) -> Iterator[AuditStep]:
        for place, visited, ids in steps(self._reader, _ENTRIES, lists):
            if into is self._listed:
                self._twice.update(set(ids) & into)
                self._twice.update({each for each, times in Counter(ids).items() if times > 1})
                self._done += visited
            into.update(ids)
            yield self._step(f"reading the {place.state} jobs of {place.queue}")

    def _read_records(self) -> Iterator[AuditStep]:
        cursor = b"0"
        while True:
            cursor, seen, queued, confirmed, lost = self._reader.run(_RECORDS, (cursor,))
            self._queued.update(queued)
            for at in range(0, len(confirmed), 2):
                self._confirmed[confirmed[at]] += confirmed[at + 1]
            self._lost += [job_id for job_id, _, _ in lost]
            self._done += seen
            yield self._step("reading the records of all jobs")
            if cursor == b"0":
                return

    def _compare_registries(self, places: Sequence[Source]) -> Iterator[AuditStep]:
        """Look at each entry; only done where the count of records that say they are here differs."""
        for place, _, odd in steps(self._reader, _REGISTRY, places):
            for job_id, exists, as_it_says, elsewhere, lapsed in odd:
                if lapsed and as_it_says:
                    self._odd.add("lease-lapsed", [job_id])
                elif not exists:
                    kind = "execution-without-job" if place.state == "started" else "entry-without-record"
                    self._odd.add(kind, [job_id])
                else:
                    self._odd.add("several-places" if elsewhere else "status-disagrees", [job_id])
            yield self._step(f"comparing the {place.state} jobs of {place.queue}")

    def _settle_lists(self) -> Iterator[AuditStep]:
        """What was only in the list, or only on record: look at all of these again."""
        listed_only, recorded_only = self._listed - self._queued, self._queued - self._listed
        again: set[bytes] = set()
        if recorded_only or self._twice:
            yield from self._read_lists(sources(self._reader, _LISTS), again)
        for job_id, exists, status, _, there in self._look_again([*listed_only]):
            if not exists:
                self._odd.add("entry-without-record", [job_id])
            elif status != b"queued":
                self._odd.add("several-places" if there == 1 else "status-disagrees", [job_id])
        for job_id, _, status, _, there in self._look_again([*recorded_only, *self._lost]):
            if (status == b"queued" and job_id not in again) or there == 0:
                self._odd.add("record-without-entry", [job_id])
        self._odd.add("listed-twice", [job_id for job_id in self._twice if job_id in again])
        yield self._step("looking again at what seemed odd")

    def _settle_executions(self, orphans: Sequence[bytes]) -> None:
        _, _, still = self._reader.run(_WORKERS)
        self._odd.add("execution-without-job", set(orphans) & set(still))

    def _look_again(self, ids: Sequence[bytes]) -> Iterator[tuple[bytes, Any, Any, Any, Any]]:
        for first in range(0, len(ids), _IDS_PER_COMMAND):
            part = ids[first : first + _IDS_PER_COMMAND]
            for job_id, found in zip(part, self._reader.run(_IDS, part), strict=True):
                yield (job_id, *found)

    def _compare_with_database(self, database: DatabaseSide) -> Iterator[AuditStep]:
        waiting = sorted(map(text_of, self._listed))
        for first in range(0, len(waiting), _IDS_PER_COMMAND):
            part = waiting[first : first + _IDS_PER_COMMAND]
            self._odd.add("unknown-to-database", [each.encode() for each in database.unknown(part)])
            yield self._step("asking the database for the jobs that wait")
        for ids in database.announced():
            missing = [each.encode() for each in ids if each.encode() not in self._listed]
            for job_id, _, status, _, there in self._look_again(missing):
                if status in (b"", b"queued") or there == 0:
                    self._odd.add("announced-not-rung", [job_id])
            yield self._step("looking for the jobs that were announced")


def _name(place: Source) -> bytes:
    return place.state.encode() + b" " + place.raw_queue
