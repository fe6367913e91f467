"""Jobs, one by one and in groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fixionmail.ops.views.findings import Cure


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A job in a table. ``state`` is where it was found: queued, started, failed, finished, deferred, ready,
    scheduled, rate_limited, canceled or limbo."""

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
    """A window of a list. ``next``: pass it back for what follows; empty at the end.

    ``total``: of one queue's jobs that limits hold back, an estimate where limits hold back more than 2,000.
    """

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
class RateLimit:
    """RQ 3's limit on jobs of one key: so many are queued or run at a time, the others are held back.

    Attributes:
        key: its name.
        most: how many are let through; 0 where Redis does not say, and then none is.
        let_through: how many are now.
        first: of these the first few: (id, status, queue), empty texts where there is no record.
        place: of the job among those held back, from 1 on; None when it is not held back.
        held_back: how many are.
    """

    key: str
    most: int
    let_through: int
    first: tuple[tuple[str, str, str], ...]
    place: int | None
    held_back: int


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """All that Redis and the database know about one job. Payload and error are text, cut at 64 KiB."""

    job_id: str
    state: str
    """What its record says; ``limbo`` where that is queued, and only a worker's intermediate list holds it."""
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
    limit: RateLimit | None = None
    """On jobs of its kind, if there is one."""


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
