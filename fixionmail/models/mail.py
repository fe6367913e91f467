"""Mail on its way to the provider, and what the provider says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from fixionmail.models.verdict import Verdict


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
