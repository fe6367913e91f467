"""The values that travel between the parts of FixionMail. Frozen, keyword-only, built in one place each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from fixionmail.schedule import Due


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What a writer needs to know to write one story. All text is the subscriber's: hostile input."""

    job_id: UUID
    user_id: UUID
    local_date: date
    genre: str = ""
    setting: str = ""
    character: str = ""
    intensity: int = 3
    """From 1, gentle, to 5, fierce."""
    length: int = 900
    """Words."""
    language: str = "English"
    cast: tuple[CastMember, ...] = ()
    """Who comes back in this subscriber's stories."""
    past_titles: tuple[str, ...] = ()
    past_plots: tuple[str, ...] = ()
    past_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CastMember:
    """Somebody in a story."""

    name: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """A finished story. ``body`` is plain text, paragraphs parted by one blank line.

    Attributes:
        plot: what happens, in a sentence or two; empty when the writer does not say.
        names: of those who appear in this story alone.
        cast: who is to come back in the next ones; empty leaves the subscriber's cast as it is.
        fallback_from: the writer that should have written it, and why it did not; empty when it did.
    """

    title: str
    body: str
    writer: str
    plot: str = ""
    names: tuple[str, ...] = ()
    cast: tuple[CastMember, ...] = ()
    fallback_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one request. ``cached_tokens``: of the input, read from the provider's cache."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class FinishedStep:
    """A step of a story that needs no second request. ``result`` is the step's own."""

    step: str
    writer: str
    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The answer to asking for a request: GO after ``wait_seconds``, or LATER, PAUSED (with the reason) or STALE.

    ``line``: what is paused.
    """

    verdict: Verdict
    wait_seconds: float = 0.0
    reason: str = ""
    line: str = ""


@dataclass(frozen=True, kw_only=True)
class RequestEnd:
    """What one request to a language model came to.

    Attributes:
        outcome: ``ok``, ``unfit`` (an answer that could not be used) or the kind of failure.
        usage: None when the provider did not say.
        cost_usd: None: unknown.
        pause_seconds: nobody asks this provider for so long; None: it goes on.
        slower: the provider wants fewer requests.
    """

    outcome: str
    error: str = ""
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    pause_seconds: float | None = None
    slower: bool = False


@dataclass(frozen=True, kw_only=True)
class SpendingRow:
    """What one model's requests of today came to; ``unknown`` of them have no known cost."""

    line: str
    model: str
    requests: int
    unknown: int
    usage: Usage
    cost_usd: Decimal
    at_most_usd: Decimal


@dataclass(frozen=True, kw_only=True)
class RequestCount:
    """How many requests of the last hour ended in one way, and the last one's words."""

    line: str
    outcome: str
    count: int
    last_error: str


@dataclass(frozen=True, kw_only=True)
class WritingOutlook:
    """Writing at one look. ``open``: requests under way."""

    now: datetime
    lines: tuple[LineRow, ...]
    open: int
    today: tuple[SpendingRow, ...]
    last_hour: tuple[RequestCount, ...]


@dataclass(frozen=True, kw_only=True)
class WrittenStory:
    """A story as people see it. ``unknown`` of its ``requests`` have no known cost."""

    story_id: UUID
    job_id: UUID
    user_id: UUID
    email: str
    local_date: date
    title: str
    writer: str
    fallback_from: str
    created_at: datetime
    delivery_id: UUID | None
    delivery_state: str
    requests: int
    unknown: int
    usage: Usage
    cost_usd: Decimal


@dataclass(frozen=True, kw_only=True)
class StoryRequest:
    """One request that a story took."""

    step: str
    line: str
    model: str
    outcome: str
    error: str
    begun_at: datetime
    ended_at: datetime | None
    usage: Usage
    cost_usd: Decimal | None


@dataclass(frozen=True, kw_only=True)
class StoryRecord:
    """All that is known about one story."""

    story: WrittenStory
    body: str
    plot: str
    names: tuple[str, ...]
    requests: tuple[StoryRequest, ...]


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One story on its way to one subscriber: everything a mail is rendered from, and nothing that changes."""

    delivery_id: UUID
    user_id: UUID
    address: str
    local_date: date
    title: str
    body: str
    unsubscribe_token: str


class Outcome(StrEnum):
    """What became of one mail request; ``delivery.md`` names what follows from each."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # 400, 422: nothing of this request was or will be sent
    UNAUTHORIZED = "unauthorized"  # 401, 403: our key; nothing was sent
    SENDER_REFUSED = "sender_refused"  # 403: EMAIL_FROM is of a domain that is not verified; nothing was sent
    CONCURRENT = "concurrent"  # 409: the same key is being processed right now
    KEY_CONFLICT = "key_conflict"  # 409: the key was used with other bytes
    RATE_LIMITED = "rate_limited"  # 429: too many requests a second; nothing was sent
    QUOTA = "quota"  # 429: daily or monthly quota; nothing was sent
    AMBIGUOUS = "ambiguous"  # timeout, reset, 5xx, unreadable answer: it may have been sent


@dataclass(frozen=True, kw_only=True)
class MailAnswer:
    """The provider's answer to one request, in our words."""

    outcome: Outcome
    ids: tuple[str, ...] = ()
    """Provider ids in the order of the members; only when accepted."""
    status: int | None = None
    """HTTP status, when there was one."""
    error: str = ""
    """One line for the operator, without secrets."""
    wait_seconds: float | None = None
    """How long the provider asked us to wait."""
    rate_limit: float | None = None
    """Requests a second the provider allows, when it said so."""


class Verdict(StrEnum):
    """What a database function answers; each function's own answers stand beside it in the migrations."""

    GO = "go"
    OK = "ok"
    ALREADY = "already"  # this very call was made before; nothing to do
    STALE = "stale"  # the lease has passed on; nothing was changed
    BUSY = "busy"
    LATER = "later"
    DONE = "done"
    RETRY = "retry"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MISSED = "missed"
    GONE = "gone"
    DRAFT = "draft"
    READY = "ready"
    EMPTY = "empty"
    PAUSED = "paused"
    RESEAL = "reseal"
    WINDOW = "window"
    DISSOLVED = "dissolved"
    CHANGED = "changed"  # it is no longer as the operator saw it; nothing was changed
    REFUSED = "refused"


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
class Opened:
    """The next piece of mail work. Letters only with DRAFT."""

    verdict: Verdict
    batch_id: UUID | None
    token: int
    letters: tuple[Letter, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The word to send. Key, count, slot, now and body only with GO, letters only with RESEAL.

    ``slot`` is when to send and ``now`` the time at which that was said, in Unix seconds by the database's clock.
    """

    verdict: Verdict
    token: int
    key: str
    count: int
    wait_seconds: float
    now: float
    slot: float
    body: bytes
    letters: tuple[Letter, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The mail line at a glance. ``requests``: how many requests the work that is ready takes."""

    now: datetime
    due: int
    ready: int
    requests: int
    next_at: datetime | None
    rate: float
    held: bool
    paused_until: datetime | None
    paused_reason: str


@dataclass(frozen=True, kw_only=True)
class DeliveryTick:
    """What a tick of the delivery loop learns. ``repairs``: how many of each kind."""

    repairs: Mapping[str, int]
    outlook: Outlook


@dataclass(frozen=True, kw_only=True)
class NewSubscriber:
    """A subscriber to add; ``due`` is the first story."""

    user_id: UUID
    email: str
    timezone: str
    delivery_time: str
    story_bible: Mapping[str, str]
    unsubscribe_token: str
    due: Due


@dataclass(frozen=True, kw_only=True)
class PastDelivery:
    """One line of a subscriber's history."""

    delivery_id: UUID
    local_date: date
    due_at: datetime
    state: str
    reason: str
    sent_at: datetime | None
    title: str


@dataclass(frozen=True, kw_only=True)
class Subscriber:
    """A subscriber as people see it. ``next_due_at`` is None while there is no mail for them."""

    user_id: UUID
    email: str
    status: str
    status_reason: str
    timezone: str
    delivery_time: str
    story_bible: Mapping[str, str]
    credits: int
    created_at: datetime
    next_due_at: datetime | None
    last_local_date: date | None
    last_due_at: datetime | None
    deliveries: tuple[PastDelivery, ...] = ()


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
class Overview:
    """The database at one look. ``jobs`` and ``deliveries`` count the states of local date ``day``."""

    now: datetime
    day: date
    jobs: Mapping[str, int]
    deliveries: Mapping[str, int]
    leaders: tuple[LeaderRow, ...]
    processes: tuple[ProcessRow, ...]
    switches: tuple[SwitchRow, ...]
    lines: tuple[LineRow, ...]
    jobs_waiting: int
    jobs_running: int
    deliveries_due: int
    oldest_due_at: datetime | None
    next_due_at: datetime | None
    next_plan_due_at: datetime | None
    batches_open: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery as people see it. ``address`` is where it went, or would go now."""

    delivery_id: UUID
    user_id: UUID
    address: str
    local_date: date
    due_at: datetime
    send_until: datetime
    state: str
    reason: str
    generation: int
    provider_id: str | None
    sent_at: datetime | None
    title: str


@dataclass(frozen=True, kw_only=True)
class DeliveryPage:
    """Deliveries, newest due first. ``bounded``: older ones were not searched."""

    deliveries: tuple[Delivery, ...]
    bounded: bool


@dataclass(frozen=True, kw_only=True)
class Membership:
    """A mail request that a delivery was in, and what came of it for this delivery."""

    batch_id: UUID
    state: str
    key: str | None
    count: int
    attempts: int
    live: bool
    outcome: str | None
    provider_id: str | None
    last_status: int | None
    last_error: str
    first_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """Something put on record."""

    at: datetime
    actor: str
    host: str
    action: str
    reason: str
    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """All that is known about one delivery. ``job_error`` is the last one of its story's job."""

    delivery: Delivery
    job_id: UUID
    job_state: str
    job_attempt: int
    job_error: str
    batches: tuple[Membership, ...]
    audit: tuple[AuditRow, ...]


@dataclass(frozen=True, kw_only=True)
class DeliveryChange:
    """OK, ALREADY, CHANGED, REFUSED with the reason, or GONE; ``state`` is the delivery's now."""

    verdict: Verdict
    state: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class DuplicateFinding:
    """A second mail, or what could hide one. ``subject`` is the id of what is meant, or the constraint's name."""

    kind: str
    subject: str
    delivery_ids: tuple[UUID, ...]
    detail: str


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
class SecondDelivery:
    """A delivery beside another one, ``keeps``, of the same story or of the same subscriber and date."""

    delivery_id: UUID
    keeps: UUID
    state: str
    why: str


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


@dataclass(frozen=True, kw_only=True)
class ProviderEvent:
    """One thing that the mail provider says has happened to a mail.

    Attributes:
        message_id: of the event; the same when it is told again.
        kind: as the provider names it, such as ``email.delivered``.
        provider_id: of the mail.
        delivery_id: the delivery that the mail's own tag names, if it can be read.
        detail: the provider's words, such as why it bounced.
        suppresses: nothing may be sent to this address again.
    """

    message_id: str
    kind: str
    provider_id: str
    delivery_id: UUID | None
    happened_at: datetime
    detail: str
    suppresses: bool
