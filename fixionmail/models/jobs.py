"""Leases, plans and story jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from fixionmail.models.stories import Brief, FinishedStep
from fixionmail.models.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class LeaseView:
    """A lease after asking for it. ``now`` is the database's clock."""

    held: bool
    holder: str
    fence: int
    now: datetime


@dataclass(frozen=True, kw_only=True)
class DueSubscriber:
    """A subscriber whose next story is to be planned."""

    user_id: UUID
    timezone: str
    delivery_time: str
    next_local_date: date
    next_due_at: datetime
    last_due_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A job to create, and where its subscriber stands afterwards. ``missed``: why it is too late for it."""

    job_id: UUID
    user_id: UUID
    local_date: date
    due_at: datetime
    send_until: datetime
    seen_due_at: datetime
    next_local_date: date
    next_due_at: datetime
    missed: str | None = None


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What planning came to: jobs to ring for, and how many were missed. ``stale``: somebody else leads."""

    stale: bool
    job_ids: tuple[UUID, ...]
    missed: int


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The answer to claiming a job; token, brief and the steps that are finished only with GO."""

    verdict: Verdict
    token: int = 0
    attempt: int = 0
    brief: Brief | None = None
    steps: tuple[FinishedStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoryJobRow:
    """A story job as the database has it.

    Attributes:
        rests: it is between two attempts, until ``run_after``.
        too_late: nobody wants its story any more.
        lapsed: its holder no longer vouches for it.
        subscriber: the status of its subscriber; empty when there is none.
    """

    state: str
    attempt: int
    max_attempts: int
    error: str
    due_at: datetime
    send_until: datetime
    run_after: datetime
    holder: str
    lease_expires_at: datetime | None
    step: str
    percent: int
    rests: bool
    too_late: bool
    lapsed: bool
    subscriber: str
    email: str
    delivery_id: str
    delivery_state: str


@dataclass(frozen=True, kw_only=True)
class StoryJobSeen:
    """A story job as somebody sees it who is about to change it; ``seen`` is what the change is compared with."""

    job_id: UUID
    state: str
    attempt: int
    max_attempts: int
    seen: str
