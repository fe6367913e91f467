"""Redis: queues and workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class RedisView:
    """The server. ``rq_layout``: ``3``, ``2``, ``none`` (no queues of RQ's) or ``foreign`` (keys RQ never writes)."""

    flavour: str
    version: str
    role: str
    used_memory: int
    max_memory: int
    eviction_policy: str
    persistence: str
    clients: int
    commands_per_second: int
    uptime_seconds: int
    round_trip_seconds: float
    clock_skew_seconds: float
    rq_layout: str
    suspended: bool
    """``rq suspend`` was called: no worker takes jobs."""
    keys: int
    broken: tuple[str, ...] = ()
    """Keys that hold something else than RQ puts there, a few."""


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What a queue did in one minute; ``minute`` is Unix time divided by 60."""

    minute: int
    enqueued: int = 0
    started: int = 0
    finished: int = 0
    failed: int = 0
    wait_ms: int = 0
    run_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class PauseView:
    """Who closed a queue, why and when."""

    by: str
    reason: str
    since: datetime | None


@dataclass(frozen=True, kw_only=True)
class QueueView:
    """One queue. ``limbo``: ids in RQ's intermediate list that no worker has begun to start.

    ``minutes``: newest last, empty where nothing counts (a stock RQ deployment); rates are jobs a minute over the
    last five whole minutes, None where unknown.
    """

    name: str
    waiting: int
    running: int
    failed: int = 0
    finished: int = 0
    deferred: int = 0
    scheduled: int = 0
    canceled: int = 0
    rate_limited: int = 0
    """Held back by RQ 3's limits on jobs of one kind; of more than 2,000 in all limits, an estimate."""
    ready: int = 0
    """What they waited for has succeeded, and they are not queued yet."""
    limbo: int = 0
    lapsed: int = 0
    """Running entries whose lease has lapsed: their worker no longer vouches for them."""
    lapsed_jobs: tuple[tuple[str, str], ...] = ()
    """The first few of these: the job, and the worker that held it."""
    oldest_waiting_at: datetime | None = None
    oldest_running_at: datetime | None = None
    oldest_limbo_at: datetime | None = None
    head_id: str = ""
    """The job at the head, so that one that never moves is noticed."""
    paused: PauseView | None = None
    workers: int = 0
    minutes: tuple[Minute, ...] = ()
    in_per_minute: float | None = None
    out_per_minute: float | None = None
    failed_per_minute: float | None = None

    @property
    def drain_seconds(self) -> float | None:
        """How long the backlog takes at the present rates; None when it is not shrinking or nothing is known."""
        if self.out_per_minute is None or self.in_per_minute is None:
            return None
        gain = self.out_per_minute - self.in_per_minute
        return self.waiting / gain * 60 if gain > 0 else (0.0 if self.waiting == 0 else None)


@dataclass(frozen=True, kw_only=True)
class ExecutionView:
    """A job that a worker holds right now. ``timeout_seconds``: None when it has no limit."""

    job_id: str
    queue: str
    function: str
    started_at: datetime | None
    elapsed_seconds: float
    timeout_seconds: float | None
    lease_until: datetime | None
    step: str = ""
    percent: int | None = None

    @property
    def overdue(self) -> bool:
        """It runs longer than it may."""
        return self.timeout_seconds is not None and self.elapsed_seconds > self.timeout_seconds


class WorkerHealth(StrEnum):
    """State-aware: an idle worker speaks up every few minutes, a busy one every half minute."""

    OK = "ok"
    DRAINING = "draining"
    SUSPENDED = "suspended"
    QUIET = "quiet"  # silent for longer than its state allows
    DEAD = "dead"  # its record has outlived what it said it would


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """One worker, as its record in Redis says. ``slots``: how many jobs it can hold; 1 for RQ's own."""

    name: str
    host: str
    pid: int | None
    state: str
    health: WorkerHealth
    queues: tuple[str, ...]
    born_at: datetime | None
    silent_seconds: float | None
    executions: tuple[ExecutionView, ...] = ()
    """Of very many, some; ``running`` counts them all."""
    running: int = 0
    slots: int = 1
    rss_bytes: int | None = None
    version: str = ""
    """Of FixionMail, or of RQ where the worker is not ours."""
    python: str = ""
    successful: int = 0
    failed: int = 0
    threaded: bool = False
    """Ours, not RQ's own."""


@dataclass(frozen=True, kw_only=True)
class ClientCost:
    """What one client of Redis costs. ``connections``: None when the client told it itself. ``per_minute``: None while
    it has been counted for too short a time to say."""

    name: str
    connections: int | None
    commands: int
    per_minute: float | None

    @property
    def per_month(self) -> int | None:
        """Commands in 30 days at this rate."""
        return None if self.per_minute is None else round(self.per_minute * 60 * 24 * 30)
