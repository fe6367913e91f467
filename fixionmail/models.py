"""The values that travel between the parts of FixionMail. Frozen, keyword-only, built in one place each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What a writer needs to know to write one story. All text is the subscriber's: hostile input."""

    job_id: UUID
    user_id: UUID
    local_date: date
    genre: str = ""
    setting: str = ""
    character: str = ""
    past_titles: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Story:
    """A finished story. ``body`` is plain text, paragraphs parted by one blank line."""

    title: str
    body: str
    writer: str


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
    UNAUTHORIZED = "unauthorized"  # 401, 403: our key or domain; nothing was sent
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
    refused: dict[int, str] = field(default_factory=dict)
    """Members the provider refused one by one (position -> reason) while it took the others."""
