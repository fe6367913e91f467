"""Whether Redis agrees with itself and with the database: every list, registry and record, in steps of milliseconds.

Jobs move while they are audited. What looks wrong is therefore looked at twice, and told only when it still is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fixionmail.errors import FixionMailError, RedisUnreachableError
from fixionmail.jobs.names import STORIES
from fixionmail.ops.audit_findings import Oddities
from fixionmail.ops.connection import RedisReader, load_script
from fixionmail.ops.reading import text_of
from fixionmail.ops.rows import STATES
from fixionmail.ops.scanning import scan
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
_IDS_PER_CALL = 5000
"""Of the database."""
ON_ITS_WAY_SECONDS = 2.0
"""What was announced in the database has reached Redis after that."""
TAKEN_UP_SECONDS = 2.0
"""What a worker has taken off its queue is a run on record after that."""


@dataclass(frozen=True, kw_only=True)
class AuditStep:
    """How far an audit is. ``findings`` are those so far that stand; all of them in the last step.

    ``note``: why the database's side is missing, where it should be there.
    """

    what: str
    done: int
    total: int
    commands: int
    findings: tuple[Finding, ...] = ()
    finished: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DatabaseSide:
    """What the database says of the jobs of the queue ``stories``.

    Attributes:
        unknown: Of these ids of RQ jobs, those that stand for nothing in the database.
        announced: Ids of RQ jobs that were rung for and that nobody has picked up since, in parts; each with a mark
            that another ring changes.
    """

    unknown: Callable[[Sequence[str]], Collection[str]]
    announced: Callable[[], Iterator[Mapping[str, object]]]


def audit(
    reader: RedisReader,
    database: DatabaseSide | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[AuditStep]:
    """Audit everything; it goes on only while somebody asks for more. A database that fails is told of in the steps.

    Args:
        reader: the Redis.
        database: what it is compared with; None where the Redis is somebody else's.
        sleep: waits so many seconds.

    Raises:
        RedisUnreachableError: with the reason in words.
    """
    yield from _Audit(reader, database, sleep).run()


class _Record(NamedTuple):
    """What is on record of a job. ``there``: it is where its status says; 0 it is not, -1 that is a list."""

    exists: int
    status: bytes
    queue: bytes
    there: int
    enqueued_at: bytes
    has_run: int

    @property
    def waits(self) -> bool:
        return self.status == b"queued"

    @property
    def may_be_lost(self) -> bool:
        return self.waits or self.there == 0

    @property
    def kind_of_entry(self) -> str:
        """What is wrong when a list holds the job, and it does not wait."""
        if not self.exists:
            return "entry-without-record"
        return "several-places" if self.there == 1 else "status-disagrees"


class _Audit:
    def __init__(
        self, reader: RedisReader, database: DatabaseSide | None, sleep: Callable[[float], None]
    ) -> None:
        self._reader = reader
        self._database = database
        self._sleep = sleep
        self._note = ""
        self._sent_before = reader.commands
        self._odd = Oddities()
        self._listed: set[bytes] = set()
        self._limbo: set[bytes] = set()
        self._stories: set[bytes] = set()
        self._twice: Counter[bytes] = Counter()
        self._queued: set[bytes] = set()
        self._confirmed: Counter[bytes] = Counter()
        self._lost: set[bytes] = set()
        self._done = self._total = 0

    def run(self) -> Iterator[AuditStep]:
        keys, gone, orphans, unreadable = self._reader.run(_WORKERS)
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
        yield from self._settle_limbo()
        self._settle_keys(orphans, unreadable)
        if self._database is not None:
            try:
                yield from self._compare_with_database(self._database)
            except RedisUnreachableError:
                raise
            except FixionMailError as error:
                self._note = f"The database could not be asked: {' '.join(str(error).split())}"
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
            note=self._note,
        )

    def _read_lists(self, lists: Sequence[Source], into: set[bytes]) -> Iterator[AuditStep]:
        for place, visited, ids in steps(self._reader, _ENTRIES, lists):
            if into is self._listed:
                self._twice.update(set(ids) & into)
                self._twice.update({each for each, times in Counter(ids).items() if times > 1})
                self._done += visited
                if place.state == "limbo":
                    self._limbo.update(ids)
                if place.name == STORIES:
                    self._stories.update(ids)
            into.update(ids)
            yield self._step(f"reading the {place.state} jobs of {place.name}")

    def _read_records(self) -> Iterator[AuditStep]:
        for seen, (queued, confirmed, lost, unreadable) in scan(self._reader, _RECORDS):
            self._odd.add("unreadable-key", unreadable)
            self._queued.update(queued)
            for at in range(0, len(confirmed), 2):
                self._confirmed[confirmed[at]] += confirmed[at + 1]
            self._lost.update(job_id for job_id, _, _ in lost)
            self._done += seen
            yield self._step("reading the records of all jobs")

    def _compare_registries(self, places: Sequence[Source]) -> Iterator[AuditStep]:
        """Look at each entry; only done where the count of records that say they are here differs."""
        waiting = self._queued & (self._listed - self._limbo)
        for place, _, odd in steps(self._reader, _REGISTRY, places):
            for job_id, exists, as_it_says, elsewhere, lapsed in odd:
                if lapsed and as_it_says:
                    self._odd.add("lease-lapsed", [job_id])
                    self._lost.discard(job_id)
                elif not exists:
                    kind = "execution-without-job" if place.state == "started" else "entry-without-record"
                    self._odd.add(kind, [job_id])
                else:
                    several = elsewhere or job_id in waiting
                    self._odd.add("several-places" if several else "status-disagrees", [job_id])
            yield self._step(f"comparing the {place.state} jobs of {place.name}")

    def _settle_lists(self) -> Iterator[AuditStep]:
        """What was only in a list, or only on record: look at it before and after another reading of the lists."""
        listed_only, recorded_only = (
            self._listed - self._queued,
            (self._queued - self._listed) | self._lost,
        )
        before = {
            job_id: record
            for job_id, record in self._look_again([*(listed_only | recorded_only)])
            if (job_id in listed_only and not record.waits)
            or (job_id in recorded_only and record.may_be_lost)
        }
        again: set[bytes] = set()
        if before or self._twice:
            yield from self._read_lists(sources(self._reader, _LISTS), again)
        for job_id, record in self._look_again([*before]):
            if record != before[job_id]:
                continue  # it has moved on
            if job_id in listed_only and job_id in again:
                self._odd.add(record.kind_of_entry, [job_id])
            if job_id in recorded_only and (record.there == 0 or (record.waits and job_id not in again)):
                self._odd.add("record-without-entry", [job_id])
        self._odd.add("listed-twice", [job_id for job_id in self._twice if job_id in again])
        yield self._step("looking again at what seemed odd")

    def _settle_limbo(self) -> Iterator[AuditStep]:
        """What a worker has just taken off its queue passes through limbo; what stays there has got lost."""
        passing = [*self._limbo - self._twice.keys()]
        before = {
            job_id: record
            for job_id, record in self._look_again(passing)
            if record.waits and not record.has_run
        }
        if not before:
            return
        self._sleep(TAKEN_UP_SECONDS)
        again: set[bytes] = set()
        yield from self._read_lists(sources(self._reader, ("limbo",)), again)
        still = [job_id for job_id, record in self._look_again([*before]) if record == before[job_id]]
        self._odd.add("never-started", [job_id for job_id in still if job_id in again])
        yield self._step("looking again at what was in limbo")

    def _settle_keys(self, orphans: Sequence[bytes], unreadable: Sequence[bytes]) -> None:
        _, _, still_orphans, still_unreadable = self._reader.run(_WORKERS)
        self._odd.add("execution-without-job", set(orphans) & set(still_orphans))
        self._odd.add("unreadable-key", set(unreadable) & set(still_unreadable))

    def _look_again(self, ids: Sequence[bytes]) -> Iterator[tuple[bytes, _Record]]:
        for first in range(0, len(ids), _IDS_PER_COMMAND):
            part = ids[first : first + _IDS_PER_COMMAND]
            for job_id, found in zip(part, self._reader.run(_IDS, part), strict=True):
                yield job_id, _Record(*found)

    def _compare_with_database(self, database: DatabaseSide) -> Iterator[AuditStep]:
        waiting = sorted(map(text_of, self._stories))
        for first in range(0, len(waiting), _IDS_PER_CALL):
            part = waiting[first : first + _IDS_PER_CALL]
            self._odd.add("unknown-to-database", [each.encode() for each in database.unknown(part)])
            yield self._step("asking the database for the jobs that wait")
        missing: dict[bytes, object] = {}
        yield from self._look_for_announced(database, self._stories, missing)
        if not missing:
            return
        self._sleep(ON_ITS_WAY_SECONDS)
        listed: set[bytes] = set()
        yield from self._read_lists(sources(self._reader, _LISTS, STORIES), listed)
        still: dict[bytes, object] = {}
        yield from self._look_for_announced(database, listed, still)
        self._odd.add("announced-not-rung", [job for job, mark in still.items() if missing.get(job) == mark])

    def _look_for_announced(
        self, database: DatabaseSide, listed: set[bytes], missing: dict[bytes, object]
    ) -> Iterator[AuditStep]:
        """Put the announced jobs that are neither ``listed`` nor under way into ``missing``, with their marks."""
        for part in database.announced():
            marks = {rq_id.encode(): mark for rq_id, mark in part.items()}
            unlisted = [rq_id for rq_id in marks if rq_id not in listed]
            for rq_id, record in self._look_again(unlisted):
                if not record.exists or record.may_be_lost:
                    missing[rq_id] = marks[rq_id]
            yield self._step("looking for the jobs that were announced")


def _name(place: Source) -> bytes:
    return place.state.encode() + b" " + place.raw_name
