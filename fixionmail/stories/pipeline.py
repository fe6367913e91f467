"""The writer that asks a language model: plan, draft, edit. A step that fails is asked for again, alone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from uuid_utils.compat import uuid7

from fixionmail import deadline, faults
from fixionmail.errors import UnfitStoryError
from fixionmail.models.stories import Brief, RequestEnd, Story, Usage
from fixionmail.store.writing import Ask
from fixionmail.stories.clean import clean_text
from fixionmail.stories.desk import Desk
from fixionmail.stories.gates import ending_problem, is_refusal, text_problems
from fixionmail.stories.languages import count_words
from fixionmail.stories.model import NOTHING_BILLED, Answer, Failure, Model, ModelError, Prompt
from fixionmail.stories.plan import Plan, UnfitAnswerError, read_plan
from fixionmail.stories.prices import Price
from fixionmail.stories.prompts import draft_prompt, edit_prompt, expected_characters, plan_prompt
from fixionmail.stories.writer import Limits

TRIES = 5
"""Requests for one step, before this attempt at the story fails."""
LINE_PAUSES: Mapping[Failure, float] = {
    Failure.RATE_LIMITED: 10.0,
    Failure.OVERLOADED: 5.0,
    Failure.UNAUTHORIZED: 60.0,
    Failure.NOT_FOUND: 60.0,
    Failure.QUOTA: 300.0,
}
"""Failures that concern everybody who asks this provider, and how long nobody does, unless it says how long."""
_UNFIT = (Failure.REFUSED, Failure.TRUNCATED, Failure.BAD_ANSWER)
"""Answers of the model itself; told to it, the next may be better."""
_PERCENTS = {"plan": (5, 15), "draft": (15, 60), "edit": (60, 95)}
_LONGEST_PAUSE = 8.0
_DRAFT_SHARE = 0.5
"""A draft of at least this share of the fewest words can be edited into a story; a shorter one is written anew."""


_Read = Callable[[str], dict[str, Any]]
_Prompter = Callable[[Sequence[str]], Prompt]


@dataclass(frozen=True, kw_only=True)
class ModelWriter:
    """Writes with one model.

    Attributes:
        price: None when nobody knows what it costs.
        pause_seconds: after the first failure of a step; it doubles with each.
    """

    model: Model
    price: Price | None
    pause_seconds: float = 0.5

    @property
    def name(self) -> str:
        """As in ``STORY_PROVIDER``."""
        return self.model.provider

    def limits(self, brief: Brief) -> Limits:
        """Around the length, and in the language, that the subscriber wishes."""
        return Limits.around(brief.length, brief.language)

    def write(self, brief: Brief, desk: Desk) -> Story:
        """Plan, draft and edit, from the first step that is not finished.

        Raises:
            ModelError: the provider failed again and again.
            UnfitStoryError: its answers did.
            PostponedError: it is not the time to ask this provider.
            StaleTokenError, DeadlineExceededError: it is no longer ours to write, or the time for it is over.
        """
        limits = self.limits(brief)
        plan = Plan.from_json(
            self._step(desk, "plan", lambda why: plan_prompt(brief, limits, why), _plan_reader(brief), limits)
        )
        draft = self._step(
            desk,
            "draft",
            lambda why: draft_prompt(brief, limits, plan.to_json(), why),
            _draft_reader(limits),
            limits,
        )
        found = text_problems(draft["text"], limits)
        edited = self._step(
            desk,
            "edit",
            lambda why: edit_prompt(brief, limits, plan.to_json(), draft["text"], why or found),
            _edit_reader(limits),
            limits,
        )
        return Story(
            title=plan.title,
            body=edited["text"],
            writer=self.name,
            plot=plan.plot,
            names=plan.new_names(brief),
            cast=plan.cast_after(brief),
        )

    def _step(
        self, desk: Desk, step: str, prompter: _Prompter, read: _Read, limits: Limits
    ) -> Mapping[str, Any]:
        """The step's result: the one that is kept, or that of the first request that goes well."""
        kept = desk.kept(step)
        if kept is not None:
            return kept
        why: list[str] = []
        for attempt in range(TRIES):
            try:
                return self._request(desk, step, prompter(why), read, limits)
            except UnfitAnswerError as unfit:
                why = [str(unfit)]
            except ModelError as error:
                last_try = attempt == TRIES - 1
                if last_try or error.failure is Failure.REJECTED:
                    raise
                if error.failure in _UNFIT:
                    why = [str(error)] if error.failure is not Failure.REFUSED else why
                elif error.failure not in LINE_PAUSES:  # else the line's pause holds us, with all the others
                    _pause(self.pause_seconds * 2**attempt)
        raise UnfitStoryError(f"The {step} from {self.name} was refused {TRIES} times: {'; '.join(why)}.")

    def _request(self, desk: Desk, step: str, prompt: Prompt, read: _Read, limits: Limits) -> dict[str, Any]:
        ask = self._admitted(desk, step, prompt)
        end, keep = RequestEnd(outcome="abandoned", error="the writer had to stop"), None
        try:
            faults.point(f"before asking for the {step}")
            answer = self.model.ask(prompt, _listener(desk, step, limits))
            faults.point(f"after asking for the {step}")
            end, keep = self._judged(answer, read)
        except ModelError as error:
            end = self._failed(error)
            raise
        finally:
            desk.settle(self.model.provider, ask, end, keep)
        if keep is None:
            raise UnfitAnswerError(end.error)
        return keep

    def _judged(self, answer: Answer, read: _Read) -> tuple[RequestEnd, dict[str, Any] | None]:
        cost = self._cost(answer.usage)
        try:
            keep = read(answer.text)
        except UnfitAnswerError as error:
            return RequestEnd(outcome="unfit", error=str(error), usage=answer.usage, cost_usd=cost), None
        return RequestEnd(outcome="ok", usage=answer.usage, cost_usd=cost), keep

    def _admitted(self, desk: Desk, step: str, prompt: Prompt) -> Ask:
        characters = len(prompt.rules) + len(prompt.material)
        price = self.price
        at_most = price.at_most(characters=characters, max_tokens=prompt.max_tokens) if price else None
        ask = Ask(
            request_id=uuid7(),
            step=step,
            percent=_PERCENTS[step][0],
            model=self.model.model,
            at_most_usd=at_most,
        )
        return desk.admit(self.model.provider, ask, seconds=self.model.total_seconds)

    def _failed(self, error: ModelError) -> RequestEnd:
        pause = LINE_PAUSES.get(error.failure)
        if pause is not None:
            pause = (pause if error.wait_seconds is None else error.wait_seconds) * random.uniform(1.0, 1.25)
        return RequestEnd(
            outcome=str(error.failure),
            error=str(error),
            usage=error.usage,
            cost_usd=self._cost(error.usage),
            pause_seconds=pause,
            slower=error.failure is Failure.RATE_LIMITED,
        )

    def _cost(self, usage: Usage | None) -> Decimal | None:
        if usage == NOTHING_BILLED:
            return Decimal(0)
        return self.price.of(usage) if self.price and usage is not None else None


def _listener(desk: Desk, step: str, limits: Limits) -> Callable[[str], None]:
    """Takes pieces of a step's text and shows how far it is."""
    first, last = _PERCENTS[step]
    expected = 1_500 if step == "plan" else expected_characters(limits)
    heard = 0

    def hear(piece: str) -> None:
        nonlocal heard
        heard += len(piece)
        desk.report(step, first + round((last - first) * min(1.0, heard / expected)))
        desk.hear(step, piece)

    return hear


def _plan_reader(brief: Brief) -> _Read:
    return lambda text: read_plan(text, brief).to_json()


def _draft_reader(limits: Limits) -> _Read:
    """A draft may have faults that editing mends; it must be a story, though."""

    def read(text: str) -> dict[str, Any]:
        body = clean_text(text)
        if is_refusal(body) or not body:
            raise UnfitAnswerError("the answer was not a story")
        words = count_words(body)
        if words < _DRAFT_SHARE * limits.fewest_words:
            raise UnfitAnswerError(f"it has {words} words, and at least {limits.fewest_words} are wanted")
        if unfinished := ending_problem(body):
            raise UnfitAnswerError(unfinished)
        return {"text": body}

    return read


def _edit_reader(limits: Limits) -> _Read:
    def read(text: str) -> dict[str, Any]:
        body = clean_text(text)
        if problems := text_problems(body, limits):
            raise UnfitAnswerError("; ".join(problems))
        return {"text": body}

    return read


def _pause(seconds: float) -> None:
    longest = min(_LONGEST_PAUSE, seconds)
    time.sleep(deadline.remaining(random.uniform(longest / 2, longest)))
