"""Where a story is written: progress shows, finished steps are kept, and requests to language models are let pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fixionmail.models.stories import FinishedStep, RequestEnd
from fixionmail.store.writing import Ask


class Desk:
    """A desk for one story in memory: nobody looks, and every request passes. Others build on it.

    Args:
        kept: steps that are finished already.
    """

    job_id: UUID | None = None
    token: int | None = None

    def __init__(self, kept: tuple[FinishedStep, ...] = ()) -> None:
        self._kept = {step.step: step.result for step in kept}

    def kept(self, step: str) -> Mapping[str, Any] | None:
        """The result of a step that is finished; None when it is still to be done."""
        return self._kept.get(step)

    def report(self, step: str, percent: int) -> None:
        """Say how far the story is.

        Raises:
            StaleTokenError: somebody else writes it now; stop.
        """

    def hear(self, step: str, piece: str) -> None:
        """A piece of a step's text, as it arrives."""

    def admit(self, provider: str, ask: Ask, *, seconds: float) -> Ask:
        """Wait until a request may be made that takes at most ``seconds``; it is returned as it is to be settled.

        Raises:
            PostponedError: that would take too long.
            StaleTokenError: somebody else writes this story now.
        """
        return ask

    def settle(self, provider: str, ask: Ask, end: RequestEnd, keep: Mapping[str, Any] | None = None) -> None:
        """Record what a request came to; with ``keep`` its step is finished, and this is its result.

        Raises:
            StaleTokenError: somebody else writes this story now.
        """
        if keep is not None:
            self._kept[ask.step] = keep
