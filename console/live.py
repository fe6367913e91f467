"""A real deployment as a deck: the operations and the processes of this machine behind the console's seam.

What only some views need is imported when they first ask: the first look is on the screen sooner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from console.feed import (
    CURVE_POINTS,
    PAGE_ROWS,
    TAB_STATES,
    AuditStep,
    CheckRow,
    DeliveryList,
    DeliveryRow,
    Duplicate,
    LogTail,
    ProcessRow,
    finding_row,
)
from fixionmail.errors import InputError
from fixionmail.ops import audit as audits
from fixionmail.ops import checks, failures, filters, machine, pages, search
from fixionmail.ops.clients import ClientCounts
from fixionmail.ops.history import Curve, History
from fixionmail.ops.rows import STATES
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.target import redis_url_of
from fixionmail.ops.views.deliveries import DeliveryDetail
from fixionmail.ops.views.findings import Finding, Preview, Progress
from fixionmail.ops.views.jobs import FailureGroup, JobDetail, JobPage, JobRow
from fixionmail.ops.views.redis import ClientCost
from fixionmail.ops.views.section import Target
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.processes.fleet import Fleet, ProcessLook
from fixionmail.settings import Settings

if TYPE_CHECKING:
    from console.changes import Changes
    from fixionmail.models.deliveries import Delivery
    from fixionmail.processes.logs import LogReader

_CHECK_STATES = {"ok": "ok", "found": "note", "failed": "bad", "skipped": "skipped"}
LOG_LINES = 500
SEARCHED_LOG_LINES = 5000
DUPLICATE_DAYS = 3
NO_MOVEMENT_SECONDS = 60.0
"""By a look this old it is told whether what should move does."""


class LiveDeck:
    """The deck over ``fixionmail.ops`` and ``fixionmail.processes``.

    Args:
        observer: looks at Redis and the database.
        open_changes: what changes them, asked for when somebody first acts.
        home: FIXIONMAIL_HOME, whose processes and history are shown.
    """

    def __init__(self, observer: Observer, open_changes: Callable[[], Changes], home: Path) -> None:
        self._observer = observer
        self._open_changes = open_changes
        self._changes: Changes | None = None
        self._here: checks.Machine | None = None
        """This machine, at the last look."""
        self._home = home
        self._fleet = Fleet(home)
        self._history = History(home, observer.target)
        self._logs: dict[str, LogReader] = {}
        self._last: dict[str, Delivery] = {}
        self._earlier: list[Snapshot] = []
        self._counts: ClientCounts | None = None

    @property
    def target(self) -> Target:
        """Which deployment it is."""
        return self._observer.target

    def look(self) -> Snapshot:
        """One Redis command and one database call."""
        snapshot, self._here = self._observer.look(), self._machine()
        if self._here is not None:
            snapshot = machine.corrected(snapshot, self._here)
        self._history.record(snapshot)
        return snapshot

    def findings(self, snapshot: Snapshot, previous: Snapshot | None) -> tuple[Finding, ...]:
        """What the checks find, by an earlier look and by this machine where it is the deployment's."""
        return checks.find(snapshot, self._look_before(snapshot), self._here)

    def _look_before(self, snapshot: Snapshot) -> Snapshot | None:
        """The youngest look that is old enough to tell what does not move, or else the oldest there is."""
        since = snapshot.taken_at - timedelta(seconds=NO_MOVEMENT_SECONDS)
        while len(self._earlier) > 1 and self._earlier[1].taken_at <= since:
            self._earlier.pop(0)
        before = self._earlier[0] if self._earlier else None
        self._earlier.append(snapshot)
        return before

    def _machine(self) -> checks.Machine | None:
        if self.target.remote or not self._observer.has_database:
            return None
        return machine.look(self._home)

    def jobs(self, query: str, cursor: str) -> Iterator[JobPage]:
        """A page by one command; a search in steps, within its bound."""
        wanted = filters.parse(query)
        if wanted.is_plain:
            states = wanted.states or STATES
            yield pages.page(
                self._observer.reader, states=states, queue=wanted.queue, limit=PAGE_ROWS, after=cursor
            )
            return
        rows: list[JobRow] = []
        for step in search.search(self._observer.reader, wanted, datetime.now(UTC)):
            rows += step.rows
            note = step.note or f"{step.searched:,} of {step.total:,} searched"
            yield JobPage(rows=tuple(rows), total=step.found, note=note)

    def job(self, job_id: str) -> JobDetail:
        """One job and why it does not run, by two commands."""
        from fixionmail.ops import why

        found = why.ask(self._observer, job_id)
        if found is None:
            raise InputError(f"Nobody knows a job {job_id!r}.")
        return found

    def job_log(self, job_id: str) -> tuple[str, ...]:
        """The lines of this home's logs that name the job."""
        found: list[str] = []
        for process in self._fleet.look():
            lines = self._fleet.log(process.name).tail(SEARCHED_LOG_LINES)
            found += [f"{process.name}: {line}" for line in lines if job_id in line]
        return tuple(found)

    def failures(self) -> Iterator[tuple[FailureGroup, ...]]:
        """Failures by fingerprint."""
        for step in failures.grouped(self._observer.reader, datetime.now(UTC)):
            yield step.groups

    def deliveries(self, tab: str, cursor: str) -> DeliveryList:
        """A page of a tab, by one call; of those that wait the soonest first, of the others the newest."""
        if not self._observer.has_database:
            return DeliveryList(absent="No database is set: deliveries are in Postgres. Set DATABASE_URL.")
        after = self._last.get(cursor) if cursor else None
        store = self._observer.store().deliveries
        found: Sequence[Delivery]
        if tab == "upcoming":
            found = store.upcoming(after=after, limit=PAGE_ROWS)
        else:
            found = store.list(states=TAB_STATES[tab], after=after, limit=PAGE_ROWS).deliveries
        following = ""
        if len(found) == PAGE_ROWS:
            following = str(found[-1].delivery_id)
            self._last[following] = found[-1]
        return DeliveryList(rows=tuple(map(_delivery_row, found)), next=following)

    def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery, by one call."""
        from fixionmail.ops import delivery_detail

        return delivery_detail.ask(self._observer.store(), UUID(delivery_id))

    def duplicates(self) -> tuple[Duplicate, ...]:
        """The duplicate check over the last days, counted anew."""
        if not self._observer.has_database:
            return ()
        since = datetime.now(UTC).date() - timedelta(days=DUPLICATE_DAYS)
        found = self._observer.store().deliveries.duplicates(since=since)
        return tuple(
            Duplicate(
                kind=each.kind,
                subject=each.subject,
                detail=each.detail,
                delivery_ids=tuple(map(str, each.delivery_ids)),
            )
            for each in found
        )

    def audit(self) -> Iterator[AuditStep]:
        """Every list, registry and record of Redis, and the database's side of it."""
        from fixionmail.ops.audit_database import database_side

        for step in audits.audit(self._observer.reader, database_side(self._observer)):
            whole = f"keys and entries ({step.note})" if step.note else "keys and entries"
            yield AuditStep(
                done=step.done,
                total=step.total,
                words=whole if step.finished else step.what,
                findings=step.findings,
                finished=step.finished,
            )

    def doctor(self, deep: bool) -> Iterator[CheckRow]:
        """The examination of the settings' deployment; of a Redis alone, the checks of a look."""
        now = datetime.now(UTC)
        if self._observer.has_database:
            from fixionmail.ops.doctor import Doctor

            report = Doctor(deep=deep).examine()
            for check in report.checks:
                state = _CHECK_STATES[check.state]
                yield CheckRow(name=check.name, state=state, words=check.words, at=now)
            for finding in report.findings:
                yield finding_row(finding, report.found_by[finding.key], now)
        else:
            snapshot = self._observer.look()
            yield CheckRow(
                name="redis",
                state="ok" if snapshot.redis.ok else "bad",
                words=snapshot.redis.error or "answers",
                at=now,
            )
            for finding in checks.find(snapshot):
                yield finding_row(finding, "redis", now)

    def commands(self) -> tuple[ClientCost, ...]:
        """One command, and what our processes report."""
        if not self.target.redis:
            return ()
        if self._counts is None:
            self._counts = ClientCounts(self._observer.reader)
        processes = self._earlier[-1].processes.value if self._earlier else None
        return self._counts.look(processes or (), datetime.now(UTC))

    def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
        """What an action would touch."""
        return self._acting().preview(action, targets, detail)

    def run(self, preview: Preview, targets: tuple[str, ...], reason: str, cursor: str) -> Iterator[Progress]:
        """Do it."""
        return self._acting().run(preview, reason, cursor)

    def _acting(self) -> Changes:
        if self._changes is None:
            self._changes = self._open_changes()
        return self._changes

    def processes(self) -> tuple[ProcessRow, ...]:
        """The processes of this home."""
        return tuple(map(_process_row, self._fleet.look()))

    def log(self, name: str, position: str) -> LogTail:
        """The last lines of a log, then what is written since."""
        reader = self._logs.get(name)
        if reader is None or not position:
            reader = self._logs[name] = self._fleet.log(name)
            return LogTail(lines=tuple(reader.tail(LOG_LINES)), position=name)
        return LogTail(lines=tuple(reader.news()), position=name)

    def history(self, seconds: int) -> Mapping[str, Curve]:
        """From the samples kept on this machine."""
        return self._history.curves(seconds, CURVE_POINTS, time.time())

    def close(self) -> None:
        """Give back connections, and write what the history still holds."""
        self._history.close()
        if self._changes is not None:
            self._changes.close()
        self._observer.close()


def open_deck(redis_url: str | None, settings: Settings, *, prefix: str, read_only: bool) -> LiveDeck:
    """A deck over the Redis that is named alone, or else over the deployment of the settings."""
    alone = redis_url is not None
    url = redis_url if alone else redis_url_of(settings)
    ours = None if alone else settings
    observer = Observer(redis_url=url, settings=ours, prefix=prefix, read_only=read_only)

    def open_changes() -> Changes:
        from console.changes import Changes
        from fixionmail.ops.actions import Hands

        hands = Hands(
            redis_url=url,
            store=None if alone else observer.store,
            settings=ours,
            prefix=prefix,
            read_only=read_only,
        )
        return Changes(hands, observer, Fleet(settings.home))

    return LiveDeck(observer, open_changes, settings.home)


def _delivery_row(found: Delivery) -> DeliveryRow:
    return DeliveryRow(
        delivery_id=str(found.delivery_id),
        subscriber=found.address,
        title=found.title,
        state=found.state,
        at=found.sent_at or found.due_at,
        note=found.reason,
    )


def _process_row(look: ProcessLook) -> ProcessRow:
    started = datetime.now(UTC) - timedelta(seconds=look.uptime) if look.uptime is not None else None
    return ProcessRow(
        name=look.name,
        kind=look.kind,
        state=look.state,
        pid=look.pid,
        started_at=started,
        cpu_percent=look.cpu,
        rss_bytes=look.rss,
        restarts=look.restarts,
        last_end=look.last_end,
        about=" · ".join(filter(None, (f"http://localhost:{look.port}" if look.port else "", look.note))),
    )
