"""The database: loops, mode, the day and its deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from fixionmail.models.deliveries import DuplicateFinding
from fixionmail.models.operations import Witness


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
    error: str = ""
    """Why the last tick failed, if it did."""
    note: str = ""
    """What the last good tick had to say."""
    standby: tuple[ProcessView, ...] = ()

    @property
    def problem(self) -> str:
        """The last tick's error or note."""
        return f"tick failed: {self.error}" if self.error else self.note


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
    jobs: Mapping[str, int] = field(default_factory=dict)
    """Story jobs of the day by state."""

    @property
    def steps(self) -> Mapping[str, int]:
        """The day's stories by how far they have come."""
        return {
            "planned": self.due,
            "written": self.written,
            "sent": self.sent,
            "delivered": self.delivered,
            "failed": self.failed,
        }


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
    next_story_at: datetime | None = None
    """When the earliest story is due that is not planned yet."""
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
