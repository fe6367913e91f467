"""A language model behind an API: what it is asked, what it answers, and how it can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from fixionmail.errors import StoryError
from fixionmail.models.stories import Usage

NOTHING_BILLED = Usage()


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One request. ``schema``: the answer is to be JSON of this schema, which is called ``name``."""

    name: str
    rules: str
    """Ours."""
    material: str
    """What it is about; holds text of others, delimited."""
    max_tokens: int
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer. ``usage`` is None when the provider does not say."""

    text: str
    usage: Usage | None


class Failure(StrEnum):
    """How a request can fail."""

    UNAUTHORIZED = "unauthorized"  # 401, 403: our key or what it may do
    QUOTA = "quota"  # the account has no credit left
    NOT_FOUND = "not_found"  # 404: no such model, or a wrong base URL
    RATE_LIMITED = "rate_limited"  # 429
    OVERLOADED = "overloaded"  # 529, 503, or said so in the middle
    OUTAGE = "outage"  # other 5xx
    REJECTED = "rejected"  # 400, 413, 422: this very request
    UNREACHABLE = "unreachable"  # no connection, so nothing was sent
    TIMED_OUT = "timed_out"  # silent for too long, or not ready in time
    CUT = "cut"  # the answer broke off
    REFUSED = "refused"  # the model, or a filter, declined
    TRUNCATED = "truncated"  # the limit of tokens ended the answer
    BAD_ANSWER = "bad_answer"  # not what the API documents, or far too long


class ModelError(StoryError):
    """A request failed. The message is one sentence without secrets.

    Attributes:
        wait_seconds: how long the provider asked us to wait.
        usage: what was billed; None when that is unknown.
    """

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        wait_seconds: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.wait_seconds = wait_seconds
        self.usage = usage


class Model(Protocol):
    """One model of one provider. Safe to use from many threads."""

    @property
    def provider(self) -> str:
        """As in ``STORY_PROVIDER``."""

    @property
    def model(self) -> str:
        """Its name there."""

    @property
    def total_seconds(self) -> float:
        """No request takes longer."""

    def ask(self, prompt: Prompt, on_text: Callable[[str], None]) -> Answer:
        """Make one request and read its answer to the end; ``on_text`` gets every piece as it arrives.

        Raises:
            ModelError: there is no whole answer.
            DeadlineExceededError: no time is left for the work that this belongs to.
        """

    def close(self) -> None:
        """Give back connections."""
