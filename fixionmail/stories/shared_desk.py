"""A desk in a deployment: its requests are on record, and share rate, number and budget with everybody else's."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fixionmail import deadline
from fixionmail.errors import PostponedError, StaleTokenError
from fixionmail.models.operations import BUDGET_LINE
from fixionmail.models.stories import Admission, FinishedStep, RequestEnd
from fixionmail.models.verdict import Verdict
from fixionmail.settings import Settings
from fixionmail.store.writing import Ask, Limits, Writing
from fixionmail.stories.desk import Desk

MOST_WAIT_SECONDS = 30.0
"""For a pause or a slot. A story that would have to wait longer is handed back, so that its thread is free."""
MOST_QUEUE_SECONDS = 120.0
"""For others to end their requests, or their money to be counted."""
LONGEST_POSTPONEMENT_SECONDS = 300.0
"""A story handed back is tried again after this at the latest: limits may have been raised meanwhile."""
_MARGIN_SECONDS = 60.0
"""What a request's lease is longer than the request may take."""


class SharedDesk(Desk):
    """For a story written by hand: without a job.

    Args:
        limits: by provider.
    """

    def __init__(
        self, writing: Writing, limits: Mapping[str, Limits], kept: tuple[FinishedStep, ...] = ()
    ) -> None:
        super().__init__(kept)
        self._writing = writing
        self._limits = limits

    def admit(self, provider: str, ask: Ask, *, seconds: float) -> Ask:
        """See :class:`~fixionmail.stories.desk.Desk`."""
        self.report(ask.step, ask.percent)
        ask = replace(ask, job_id=self.job_id, token=self.token)
        limits = self._limits[provider]
        give_up_at = time.monotonic() + MOST_QUEUE_SECONDS
        while True:
            answer = self._writing.admit(
                ask,
                limits,
                lease_seconds=seconds + _MARGIN_SECONDS,
                max_wait_seconds=MOST_WAIT_SECONDS,
            )
            if answer.verdict is Verdict.STALE:
                raise StaleTokenError(f"The claim on story job {self.job_id} has passed on.")
            if answer.verdict is Verdict.GO:
                time.sleep(deadline.remaining(answer.wait_seconds))
                return ask
            _wait(answer, limits.line, time.monotonic() > give_up_at)

    def settle(self, provider: str, ask: Ask, end: RequestEnd, keep: Mapping[str, Any] | None = None) -> None:
        """See :class:`~fixionmail.stories.desk.Desk`."""
        verdict = self._writing.settle(ask, self._limits[provider], end, writer=provider, keep=keep)
        if verdict is Verdict.STALE:
            raise StaleTokenError(f"The claim on story job {self.job_id} has passed on.")
        super().settle(provider, ask, end, keep)


def limits_of(settings: Settings) -> Mapping[str, Limits]:
    """What the settings allow, by provider."""
    return {
        provider: Limits(
            line=f"{BUDGET_LINE}/{provider}",
            requests_per_second=settings.story_requests_per_minute / 60,
            concurrency=settings.story_concurrency,
            budget_usd=settings.story_daily_budget_usd,
        )
        for provider in ("anthropic", "openai")
    }


def _wait(answer: Admission, line: str, is_enough: bool) -> None:
    """Wait as long as the answer says, and a little longer, so that not all come back at once.

    Raises:
        PostponedError: that is too long.
    """
    seconds = answer.wait_seconds * random.uniform(1.0, 1.25)
    if is_enough or seconds > MOST_WAIT_SECONDS:
        raise PostponedError(
            answer.reason,
            wait_seconds=min(seconds, LONGEST_POSTPONEMENT_SECONDS * random.uniform(0.5, 1.0)),
            line=answer.line or line,
        )
    time.sleep(deadline.remaining(seconds))
