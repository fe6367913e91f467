"""Deliveries as operators see and change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from fixionmail.models.verdict import Verdict


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


class DeliveryState(StrEnum):
    """What a delivery's state can be."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    FAILED = "failed"
    REJECTED = "rejected"
    UNCERTAIN = "uncertain"
    MISSED = "missed"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, kw_only=True)
class DeliverySeen:
    """A delivery before a change. ``maybe_out``: its mail was begun, and neither refused nor reported as failed."""

    delivery: Delivery
    maybe_out: bool


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
    created_at: datetime
    first_used_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ReportedEvent:
    """Something that the mail provider reported of a mail; ``kind`` is its word, such as ``email.delivered``."""

    kind: str
    provider_id: str
    happened_at: datetime


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
    """All that is known about one delivery.

    ``job_error`` is the last one of its story's job; ``planned_at``, ``begun_at`` and ``written_at`` are its story's.
    """

    delivery: Delivery
    job_id: UUID
    job_state: str
    job_attempt: int
    job_error: str
    planned_at: datetime
    begun_at: datetime | None
    written_at: datetime | None
    batches: tuple[Membership, ...]
    events: tuple[ReportedEvent, ...]
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
class SecondRow:
    """A ``delivery`` beside another one, ``keeps``, of the same story or date; or a ``job`` beside one of its date."""

    what: str
    row_id: UUID
    keeps: UUID
    state: str
    why: str
