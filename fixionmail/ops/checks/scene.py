"""What the checks look at, and the limits and words they share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fixionmail.ops.heartbeats import speaks
from fixionmail.ops.views.database import DeliveriesView, LoopView
from fixionmail.ops.views.findings import Cure
from fixionmail.ops.views.redis import QueueView, RedisView, WorkerView
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.processes.fleet import ProcessLook

LATE_AFTER = timedelta(minutes=2)
"""A story that has not left this long after it was due is late."""
LOST_AFTER = timedelta(seconds=60)
"""A job that was taken off its queue and has not started this much later is lost."""
UNRUNG_AFTER = timedelta(seconds=10)
"""A job that waits in the database this long and is not in Redis either was announced in vain."""
STALLED_AFTER = timedelta(seconds=60)
"""A loop that is this late for its tick, or the head of a queue that has not moved for so long, stands still."""
SKEW_SECONDS = 2.0
GONE_SECONDS = 35.0
"""Whoever lives reports to the database every thirty seconds."""

START_WORKER = Cure(label="start a worker", action="start-process", targets=("worker",))


@dataclass(frozen=True, kw_only=True)
class Machine:
    """This machine, where the deployment's processes run on it.

    Attributes:
        processes: those of the home, as its supervisor has them.
        home: FIXIONMAIL_HOME.
        free_bytes, total_bytes: of the disk under it; None where that cannot be told.
        host: its name, as workers put it on record; empty when it is not known who runs here.
        pids: of all that runs here, ours or not.
        failures: of the checks of this machine itself, in words.
    """

    processes: tuple[ProcessLook, ...] = ()
    home: str = ""
    free_bytes: int | None = None
    total_bytes: int | None = None
    host: str = ""
    pids: frozenset[int] = frozenset()
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A look, the one before it, and this machine."""

    now: Snapshot
    before: Snapshot | None
    machine: Machine | None

    @property
    def at(self) -> datetime:
        """When the look was taken, by the database's clock where ours is far off: what it tells of is dated by it."""
        database = self.now.database.value
        apart = database.clock_skew_seconds if database else 0.0
        return self.now.taken_at + timedelta(seconds=apart if abs(apart) > SKEW_SECONDS else 0.0)

    @property
    def ours(self) -> bool:
        """It is a FixionMail, not somebody's Redis alone."""
        return not self.now.database.absent

    @property
    def mode(self) -> str:
        """``queue``, ``fallback``, or ``unknown``."""
        return self.now.mode.value.mode if self.now.mode.value else "unknown"

    @property
    def redis(self) -> RedisView | None:
        """The server, if it answered."""
        return self.now.redis.value

    @property
    def queues(self) -> tuple[QueueView, ...]:
        """All queues that were seen."""
        return self.now.queues.value or ()

    @property
    def workers(self) -> tuple[WorkerView, ...]:
        """All workers that were seen."""
        return self.now.workers.value or ()

    @property
    def loops(self) -> tuple[LoopView, ...]:
        """Both loops, if the database answered."""
        return self.now.loops.value or ()

    @property
    def deliveries(self) -> DeliveriesView | None:
        """The mail side, if the database answered."""
        return self.now.deliveries.value

    def is_gone(self, worker: WorkerView) -> bool:
        """Its process does not run any more. Known of this machine's alone; the database is asked, too, because a
        container may share the machine's name and not its processes."""
        machine = self.machine
        if machine is None or not worker.pid or worker.host != machine.host or worker.pid in machine.pids:
            return False
        signs = [
            process.silent_seconds
            for process in self.now.processes.value or ()
            if (process.host, process.pid) == (worker.host, worker.pid)
        ]
        return self.now.processes.ok and min(signs, default=GONE_SECONDS) >= GONE_SECONDS

    def has_workers(self) -> bool:
        """Some worker has lately told the database that it lives, whatever Redis knows of it."""
        processes = self.now.processes.value or ()
        return any(process.kind == "worker" and speaks(process) for process in processes)

    def names_here(self, pids: Collection[int]) -> tuple[str, ...]:
        """What the supervisor of this machine calls the processes with these ids."""
        processes = self.machine.processes if self.machine else ()
        return tuple(process.name for process in processes if process.pid in pids)

    def queue(self, name: str) -> QueueView | None:
        """The queue of that name."""
        return next((queue for queue in self.queues if queue.name == name), None)

    def older(self, at: datetime | None, limit: timedelta) -> bool:
        """Whether ``at`` is known and further back than ``limit``."""
        return at is not None and self.at - at > limit

    def ago(self, at: datetime | None) -> str:
        """How long ago, in words."""
        return "at an unknown time" if at is None else f"{span((self.at - at).total_seconds())} ago"


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = max(0, int(seconds))
    parts = [
        f"{whole // size % most if most else whole // size} {unit}"
        for unit, size, most in (("d", 86_400, 0), ("h", 3600, 24), ("min", 60, 60), ("s", 1, 60))
        if whole >= size
    ]
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def many(count: int, what: str) -> str:
    """``1 job``, ``2 jobs``, ``1,000 jobs``."""
    ends_in_ies = what.endswith("y") and what[-2] not in "aeiou"
    plural = f"{what[:-1]}ies" if ends_in_ies else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"
