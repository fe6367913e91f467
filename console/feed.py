"""The seam of the console: everything it reads and does, as one protocol over frozen values.

``console.live`` implements it over a real deployment, ``console.canned`` over one that only pretends. Every method may
take its time and is called in a thread, never from the screen's own. Methods raise ``FixionMailError`` with a
sentence for the operator; iterators yield as they get on and may be closed at any point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fixionmail.ops.history import Curve
from fixionmail.ops.views.deliveries import DeliveryDetail
from fixionmail.ops.views.findings import Finding, Harm, Preview, Progress
from fixionmail.ops.views.jobs import FailureGroup, JobDetail, JobPage
from fixionmail.ops.views.redis import ClientCost
from fixionmail.ops.views.section import Target
from fixionmail.ops.views.snapshot import Snapshot

CURVE_POINTS = 240
PAGE_ROWS = 200
"""Rows a table asks for at a time."""
TAB_STATES: Mapping[str, tuple[str, ...]] = {
    "upcoming": ("pending",),
    "sending": ("sending",),
    "uncertain": ("uncertain",),
    "failed": ("rejected", "missed", "bounced", "failed", "complained"),
}
"""The states of the deliveries in each tab."""


@dataclass(frozen=True, kw_only=True)
class DeliveryRow:
    """A delivery in a table. ``at``: when it went out, or else when it is or was due."""

    delivery_id: str
    subscriber: str
    title: str
    state: str
    at: datetime | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DeliveryList:
    """A window of deliveries. ``absent``: why there can be none, such as "no database is set"."""

    rows: tuple[DeliveryRow, ...] = ()
    total: int | None = None
    next: str = ""
    absent: str = ""


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A second mail, or what could hide one."""

    kind: str
    subject: str
    detail: str
    delivery_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
    """A process on this machine. ``state`` is one of the supervisor's words, such as ``running``."""

    name: str
    kind: str
    state: str
    pid: int | None = None
    started_at: datetime | None = None
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    restarts: int = 0
    last_end: str = ""
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class LogTail:
    """New lines of a log, and where to go on. ``position`` is opaque; the empty one asks for the last lines."""

    lines: tuple[str, ...]
    position: str


@dataclass(frozen=True, kw_only=True)
class CheckRow:
    """A check of the doctor, or something that one found.

    Attributes:
        name: what it is about.
        state: ok, note, risk, bad or skipped.
        check: the check whose finding it is; empty for a check itself.
        at: when it was examined.
    """

    name: str
    state: str
    words: str
    fix: str = ""
    check: str = ""
    at: datetime | None = None

    @property
    def of(self) -> str:
        """The check that it belongs to."""
        return self.check or self.name

    @property
    def key(self) -> str:
        """Names the row from one examination to the next."""
        return f"{self.check}:{self.name}"


def finding_row(finding: Finding, check: str, now: datetime) -> CheckRow:
    """What a check found, as a row below it."""
    state = "bad" if finding.harm >= Harm.LATE else "risk" if finding.harm >= Harm.RISK else "note"
    fixes = [cure.command or cure.label for cure in finding.cures]
    fix = fixes[0] if fixes else ""
    name = " ".join((finding.kind, *finding.subjects[:1]))
    return CheckRow(name=name, state=state, words=finding.title, fix=fix, check=check, at=now)


@dataclass(frozen=True, kw_only=True)
class AuditStep:
    """How far an audit is, and what it has found so far."""

    done: int
    total: int
    words: str
    findings: tuple[Finding, ...] = ()
    finished: bool = False


class Deck(Protocol):
    """A deployment, as the console looks at it and acts on it."""

    @property
    def target(self) -> Target:
        """Which deployment it is."""
        ...

    def look(self) -> Snapshot:
        """The deployment now. Never raises: what fails is an error in its section."""
        ...

    def findings(self, snapshot: Snapshot, previous: Snapshot | None) -> tuple[Finding, ...]:
        """What is wrong, worst first."""
        ...

    def jobs(self, query: str, cursor: str) -> Iterator[JobPage]:
        """Jobs that match a filter, newest first; ``cursor`` is a page's ``next``.

        A page comes once; a search comes again and again, each time with all that was found so far.
        """
        ...

    def job(self, job_id: str) -> JobDetail:
        """One job."""
        ...

    def job_log(self, job_id: str) -> tuple[str, ...]:
        """The lines of this machine's logs that name a job, oldest first."""
        ...

    def failures(self) -> Iterator[tuple[FailureGroup, ...]]:
        """Failures by fingerprint, most frequent first; again and again while more are read."""
        ...

    def deliveries(self, tab: str, cursor: str) -> DeliveryList:
        """Deliveries of a tab: upcoming, soonest first; sending, uncertain or failed, newest first."""
        ...

    def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery."""
        ...

    def duplicates(self) -> tuple[Duplicate, ...]:
        """The duplicate check."""
        ...

    def audit(self) -> Iterator[AuditStep]:
        """Look at every key and row for what does not fit together."""
        ...

    def doctor(self, deep: bool) -> Iterator[CheckRow]:
        """Examine, with ``deep`` also what takes long or asks others, and tell what each check came to."""
        ...

    def commands(self) -> tuple[ClientCost, ...]:
        """Who sends Redis how many commands, who costs most first; empty where nobody counts."""
        ...

    def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
        """What an action would touch; ``detail``: what its first preview asked for. Changes nothing."""
        ...

    def run(self, preview: Preview, targets: tuple[str, ...], reason: str, cursor: str) -> Iterator[Progress]:
        """Do it, in chunks. ``cursor``: where an interrupted run goes on; empty to begin."""
        ...

    def processes(self) -> tuple[ProcessRow, ...]:
        """What runs and could run on this machine."""
        ...

    def log(self, name: str, position: str) -> LogTail:
        """The log of a process, from a position on."""
        ...

    def history(self, seconds: int) -> Mapping[str, Curve]:
        """The last so many seconds of every series that is kept, in ``CURVE_POINTS`` points."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
