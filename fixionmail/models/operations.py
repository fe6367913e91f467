"""The database as the operations look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fixionmail.models.deliveries import DuplicateFinding


@dataclass(frozen=True, kw_only=True)
class LeaderRow:
    """A loop's lease. ``info`` is the leader's last report."""

    name: str
    holder: str
    fence: int
    held: bool
    acquired_at: datetime
    info: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
    """A process that has reported itself. ``silent_seconds``: since its last heartbeat."""

    process: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    silent_seconds: float
    info: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SwitchRow:
    """A switch that is on."""

    name: str
    set_by: str
    reason: str
    set_at: datetime


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """The line to a mail provider: our request rate a second, and why it stands still, if it does."""

    name: str
    rate: float
    paused_until: datetime | None
    paused_reason: str


BUDGET_LINE = "stories"
"""The line that stands still while the day's budget for stories is spent."""


def is_story_line(name: str) -> bool:
    """Whether a line leads to a provider of stories (``stories/<provider>``, or their budget), and not of mail."""
    return name == BUDGET_LINE or name.startswith(f"{BUDGET_LINE}/")


@dataclass(frozen=True, kw_only=True)
class StrayRow:
    """A ``subscriber`` who shares an address with an older one, or a ``job`` whose subscriber is not there."""

    what: str
    row_id: UUID
    words: str


@dataclass(frozen=True, kw_only=True)
class Witness:
    """One row of something that may need somebody: what it is about, what there is to say of it, and since when."""

    subject: str
    detail: str
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class OperationsRow:
    """The database as the operations look at it.

    Attributes:
        jobs, deliveries: states of the local date that was asked for.
        users, zones: how many subscribers are in each status, and live in each time zone.
        unplanned: subscribers whose time to plan has come.
        jobs_resting: those of the waiting that are between two attempts.
        witnesses: a few rows of each kind.
        migrations: version, name and checksum of what was applied.
    """

    now: datetime
    jobs: Mapping[str, int]
    deliveries: Mapping[str, int]
    users: Mapping[str, int]
    zones: Mapping[str, int]
    leaders: tuple[LeaderRow, ...]
    processes: tuple[ProcessRow, ...]
    switches: tuple[SwitchRow, ...]
    lines: tuple[LineRow, ...]
    due: int
    sending: int
    uncertain: int
    oldest_due_at: datetime | None
    next_due_at: datetime | None
    next_plan_at: datetime | None
    unplanned: int
    jobs_waiting: int
    jobs_resting: int
    jobs_running: int
    jobs_lapsed: int
    oldest_job_at: datetime | None
    oldest_job_due_at: datetime | None
    batches: Mapping[str, int]
    witnesses: Mapping[str, tuple[Witness, ...]]
    duplicates: tuple[DuplicateFinding, ...]
    migrations: tuple[Mapping[str, Any], ...]
    version: str
    size_bytes: int
    connections: int
    max_connections: int
