"""Subscribers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from fixionmail.schedule import Due


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
