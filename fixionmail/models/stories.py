"""Stories, and what writing them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from fixionmail.models.operations import LineRow
from fixionmail.models.verdict import Verdict


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
