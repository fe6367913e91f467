"""What people see of a deployment: frozen values, filled by ``ops.snapshot`` and read by every face of it.

Text in these values comes from Redis and the database as it stands: hostile until a face has made it harmless.
Instants are aware, in UTC. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar

from fixionmail.models import DuplicateFinding, Witness

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Section(Generic[T]):
    """One part of a snapshot: its value, or why there is none. Exactly one of the three is meant.

    ``error``: one line in words, without secrets. ``absent``: why it is not there by design, such as "no database
    is set"; then there is neither value nor error.
    """

    value: T | None = None
    error: str = ""
    absent: str = ""
    error_type: str = ""
    """The class of the error, such as ``DatabaseRefusedError``."""

    @property
    def ok(self) -> bool:
        """There is a value."""
        return self.value is not None


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which deployment is looked at. Addresses are without passwords."""

    redis: str
    """``host:port/db``, or empty when no Redis is used."""
    database: str
    """``host/name``, or empty when there is none."""
    environment: str
    """``local``, or the name an operator has to type before destructive work on a remote deployment."""
    remote: bool
    key_prefix: str = "rq"
    read_only: bool = False
    mail: str = ""
    """Where mail goes, in words; empty without a database."""


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
    limbo: int = 0
    lapsed: int = 0
    """Running entries whose lease has lapsed: their worker no longer vouches for them."""
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
class ProcessView:
    """A process of ours that reports to the database."""

    process: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    silent_seconds: float
    info: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoopView:
    """A loop: who leads it, and who stands by."""

    name: str
    leader: ProcessView | None
    fence: int
    held: bool
    leading_since: datetime | None
    last_tick_at: datetime | None
    next_tick_at: datetime | None
    counts: Mapping[str, int]
    problem: str
    """The last tick's error or note."""
    standby: tuple[ProcessView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModeView:
    """``queue``, ``fallback`` or ``unknown`` (nobody plans), since when, and why it is fallback if it is."""

    mode: str
    since: datetime | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class FunnelView:
    """The stories of one local date, from due to arrived. ``failed``: all that will not arrive."""

    day: date
    due: int
    written: int
    sent: int
    delivered: int
    failed: int
    waiting_to_write: int = 0
    writing: int = 0


@dataclass(frozen=True, kw_only=True)
class LineView:
    """The line to a mail provider. ``paused_until``: far in the future while an operator must act."""

    name: str
    rate: float
    paused_until: datetime | None
    paused_reason: str


@dataclass(frozen=True, kw_only=True)
class SwitchView:
    """A switch that is on, such as ``hold`` or ``scheduler_paused``."""

    name: str
    by: str
    reason: str
    since: datetime | None


@dataclass(frozen=True, kw_only=True)
class DeliveriesView:
    """The mail side. ``uncertain`` counts all that wait for a decision, whatever their date."""

    due: int
    sending: int
    uncertain: int
    oldest_due_at: datetime | None
    next_due_at: datetime | None
    next_plan_at: datetime | None
    unplanned: int
    """Subscribers whose time to plan has come and who were not planned."""
    jobs_waiting: int
    jobs_running: int
    jobs_lapsed: int
    oldest_job_at: datetime | None
    rung: int
    """Jobs announced to Redis that nobody has picked up since."""
    batches: Mapping[str, int]
    states: Mapping[str, int]
    """Deliveries of the day by state."""
    rejected: tuple[str, ...] = ()
    """Evidence, newest first: ``address: reason`` of the day's rejected deliveries, a few."""
    failing: tuple[str, ...] = ()
    """Evidence: the day's most frequent job errors, ``count x error``, a few."""
    lines: tuple[LineView, ...] = ()
    switches: tuple[SwitchView, ...] = ()
    same_date: int = 0
    """Subscribers mailed twice for one date, counted over the last two days."""
    accepted_twice: int = 0
    missing_constraints: tuple[str, ...] = ()
    unknown_zones: tuple[str, ...] = ()
    """Evidence: subscribers whose zone or time cannot be read, a few."""
    double_addresses: tuple[str, ...] = ()
    orphan_jobs: int = 0
    jobs_resting: int = 0
    """Of the waiting jobs, those between two attempts."""
    oldest_job_due_at: datetime | None = None
    """When the story is due that has the least time left."""
    duplicates: tuple[DuplicateFinding, ...] = ()
    witnesses: Mapping[str, tuple[Witness, ...]] = field(default_factory=dict)
    """A few rows of everything that may need somebody, by kind: ``rejected``, ``zone`` and ``time`` name subscribers,
    ``uncertain`` and ``stuck`` deliveries, ``lapsed``, ``poison`` and ``orphan`` jobs, ``failing`` errors."""


@dataclass(frozen=True, kw_only=True)
class DatabaseView:
    """The server."""

    version: str
    size_bytes: int
    connections: int
    max_connections: int
    round_trip_seconds: float
    clock_skew_seconds: float
    missing_migrations: tuple[str, ...] = ()
    subscribers: int = 0
    road: str = "postgres"
    """``postgres`` or ``supabase``."""


@dataclass(frozen=True, kw_only=True)
class CostView:
    """What this look cost, and what looking at this pace costs in a month of 30 days."""

    redis_commands: int
    database_calls: int
    seconds: float
    commands_per_month: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A deployment at one look. Nothing was written for it, and nothing raised."""

    taken_at: datetime
    target: Target
    redis: Section[RedisView]
    queues: Section[tuple[QueueView, ...]]
    workers: Section[tuple[WorkerView, ...]]
    mode: Section[ModeView]
    loops: Section[tuple[LoopView, ...]]
    processes: Section[tuple[ProcessView, ...]]
    funnel: Section[FunnelView]
    deliveries: Section[DeliveriesView]
    database: Section[DatabaseView]
    cost: CostView


class Harm(IntEnum):
    """How bad a finding is: the higher, the nearer to the top of the screen."""

    NOTE = 1  # good to know
    COST = 2  # money or capacity is lost
    RISK = 3  # a protection is missing, or something will go wrong
    LATE = 4  # stories wait
    LOST = 5  # a story will not arrive unless somebody acts
    TWICE = 6  # somebody is, or may be, mailed twice


@dataclass(frozen=True, kw_only=True)
class Cure:
    """What mends it. ``action`` names one of ``ops.actions`` with its targets; else ``command`` is to be typed."""

    label: str
    action: str = ""
    targets: tuple[str, ...] = ()
    command: str = ""
    safe: bool = False
    """``doctor --fix`` may do it unasked."""
    automatic: str = ""
    """What happens by itself, and by when; empty when nothing does."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong, named. ``kind`` is a stable identifier such as ``queue-unserved``."""

    kind: str
    harm: Harm
    title: str
    """One line: what is wrong."""
    cause: str
    """One or two sentences: why."""
    evidence: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    """Ids or names it is about."""
    count: int = 1
    since: datetime | None = None
    cures: tuple[Cure, ...] = ()
    drill: int | None = None
    """Its row among the incident drills."""

    @property
    def key(self) -> str:
        """Names this trouble while it lasts, so that it is told of once."""
        return f"{self.kind}:{','.join(self.subjects[:3])}"


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A job in a table. ``state`` is where it was found: queued, started, failed, finished, deferred, scheduled,
    canceled or limbo."""

    job_id: str
    state: str
    queue: str
    function: str
    at: datetime | None
    """When it came into this state."""
    summary: str = ""
    """The last line of its error, or what it is about."""
    attempts: int | None = None
    worker: str = ""
    broken: str = ""
    """Why its record cannot be read, if it cannot."""


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """A window of a list. ``next``: pass it back for what follows; empty at the end."""

    rows: tuple[JobRow, ...]
    total: int
    next: str = ""
    note: str = ""
    """Said beside the table, such as the bound of a search."""


@dataclass(frozen=True, kw_only=True)
class TimelineEvent:
    """Something that happened to a job."""

    at: datetime | None
    what: str


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """All that Redis and the database know about one job. Payload and error are text, cut at 64 KiB."""

    job_id: str
    state: str
    places: tuple[str, ...]
    """Every list and registry that holds its id."""
    queue: str
    function: str
    payload: str
    error: str
    meta: Mapping[str, str]
    timeline: tuple[TimelineEvent, ...]
    attempts: tuple[str, ...]
    worker: str
    ttl_seconds: float | None
    depends_on: tuple[str, ...]
    story_job: Mapping[str, str]
    """What the database says of the story or delivery it stands for."""
    why: tuple[str, ...]
    """Why it is not running, in words: the first reason decides. Empty when it runs or has ended."""
    cures: tuple[Cure, ...] = ()
    dependents: tuple[str, ...] = ()
    """Jobs that wait for this one, a hundred at most."""


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Failures with the same fingerprint: the error's type and last line with ids, numbers and paths left out."""

    fingerprint: str
    error: str
    count: int
    queues: Mapping[str, int]
    functions: Mapping[str, int]
    first_at: datetime | None
    last_at: datetime | None
    per_hour: tuple[int, ...]
    """The last 24 hours, newest last."""
    sample_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What an action would touch. ``seen`` goes back into the run, which changes nothing that has moved on since."""

    action: str
    count: int
    samples: tuple[str, ...]
    warnings: tuple[str, ...]
    destructive: bool
    command: str
    """The same on the command line."""
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a long action is. ``outcomes`` counts by word: done, moved on, gone, refused, failed."""

    done: int
    total: int
    outcomes: Mapping[str, int]
    cursor: str = ""
    """Where to go on after an interruption."""
    finished: bool = False
    details: tuple[tuple[str, str], ...] = ()
    """Id and outcome of those of this chunk."""
