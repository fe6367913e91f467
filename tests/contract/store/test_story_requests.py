"""Requests to language models: recorded before they leave, settled once, limited for the whole deployment."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.stories import Admission, FinishedStep, RequestEnd, SpendingRow, Usage
from fixionmail.models.verdict import Verdict
from fixionmail.store.writing import Ask, Limits
from tests.contract.store.world import TAKEN, World

LINE = "stories/openai"
LIMITS = Limits(line=LINE, requests_per_second=1e6, concurrency=10)
USAGE = Usage(input_tokens=1_000, cached_tokens=200, output_tokens=500)
GOOD = RequestEnd(outcome="ok", usage=USAGE, cost_usd=Decimal("0.0035"))
PLAN = {"title": "The Lamp"}


def new_ask(world: World, job: UUID | None = None, **changes: Any) -> Ask:
    """A request for a job that is claimed now, or by hand."""
    token = world.claimed(job) if job else None
    ask = Ask(
        request_id=uuid7(),
        step="plan",
        percent=5,
        model="gpt",
        at_most_usd=Decimal("0.05"),
        job_id=job,
        token=token,
    )
    return replace(ask, **changes)


def admit(world: World, ask: Ask, limits: Limits = LIMITS) -> Admission:
    return world.store.writing.admit(ask, limits, lease_seconds=60, max_wait_seconds=5)


def settle(
    world: World, ask: Ask, end: RequestEnd = GOOD, keep: Any = None, limits: Limits = LIMITS
) -> Verdict:
    return world.store.writing.settle(ask, limits, end, writer="openai", keep=keep)


def admitted(world: World, job: UUID | None = None, limits: Limits = LIMITS, **changes: Any) -> Ask:
    ask = new_ask(world, job, **changes)
    assert admit(world, ask, limits).verdict is Verdict.GO
    return ask


def today(world: World) -> SpendingRow:
    (row,) = world.store.writing.outlook().today
    return row


class TestAdmitting:
    def test_shows_step_and_percent_on_the_job(self, world: World) -> None:
        job = world.job()
        admitted(world, job, step="draft", percent=15)
        row = world.row("story_jobs", job)
        assert (row["step"], row["percent"]) == ("draft", 15)

    def test_twice_is_one_request(self, world: World) -> None:
        ask = admitted(world)
        assert admit(world, ask).verdict is Verdict.GO
        assert world.store.writing.outlook().open == 1

    def test_a_claim_that_has_passed_on_lets_nothing_through(self, world: World) -> None:
        job = world.job()
        ask = new_ask(world, job)
        world.lapse(job)
        assert admit(world, ask).verdict is Verdict.STALE
        assert world.store.writing.outlook().open == 0

    def test_no_more_are_under_way_than_allowed(self, world: World) -> None:
        narrow = replace(LIMITS, concurrency=2)
        first = admitted(world, limits=narrow)
        admitted(world, limits=narrow)
        third = new_ask(world)
        assert admit(world, third, narrow).verdict is Verdict.LATER
        settle(world, first)
        assert admit(world, third, narrow).verdict is Verdict.GO

    def test_slots_are_apart_by_the_rate_whoever_asks(self, world: World) -> None:
        slow = replace(LIMITS, requests_per_second=0.5)
        waits = [admit(world, new_ask(world), slow).wait_seconds for _ in range(3)]
        assert waits[0] == 0
        assert 1 < waits[1] < 2.1
        assert 3 < waits[2] < 4.1

    def test_a_slot_that_is_too_far_away_is_for_later_and_reserves_nothing(self, world: World) -> None:
        slow = replace(LIMITS, requests_per_second=0.1)
        admitted(world, limits=slow)
        assert [admit(world, new_ask(world), slow).verdict for _ in range(3)] == [Verdict.LATER] * 3

    def test_a_request_of_a_dead_worker_makes_room_and_counts_as_of_unknown_cost(self, world: World) -> None:
        narrow = replace(LIMITS, concurrency=1)
        admitted(world, limits=narrow)
        world.change("update story_requests set lease_expires_at = now() - interval '1 second'")
        admitted(world, limits=narrow)
        assert (today(world).requests, today(world).unknown) == (1, 1)
        assert (today(world).cost_usd, today(world).at_most_usd) == (0, Decimal("0.05"))


class TestSettling:
    def test_counts_tokens_and_money_exactly(self, world: World) -> None:
        for _ in range(3):
            assert settle(world, admitted(world)) in TAKEN
        row = today(world)
        assert (row.requests, row.unknown, row.cost_usd) == (3, 0, Decimal("0.0105"))
        assert row.usage == Usage(input_tokens=3_000, cached_tokens=600, output_tokens=1_500)

    def test_twice_counts_once(self, world: World) -> None:
        ask = admitted(world)
        settle(world, ask)
        assert settle(world, ask) is Verdict.ALREADY
        assert today(world).requests == 1

    def test_what_was_given_up_as_lost_and_comes_back_is_counted_right(self, world: World) -> None:
        ask = admitted(world)
        world.change("update story_requests set lease_expires_at = now() - interval '1 second'")
        settle(world, admitted(world))
        assert settle(world, ask) in TAKEN
        row = today(world)
        assert (row.requests, row.unknown) == (2, 0)
        assert row.cost_usd == row.at_most_usd == Decimal("0.007")

    def test_an_unknown_cost_is_said_to_be_unknown_and_bounded(self, world: World) -> None:
        settle(world, admitted(world), RequestEnd(outcome="cut", error="it broke off"))
        row = today(world)
        assert (row.unknown, row.cost_usd, row.at_most_usd) == (1, 0, Decimal("0.05"))

    def test_one_that_nobody_asked_for_is_gone(self, world: World) -> None:
        assert settle(world, new_ask(world)) is Verdict.GONE

    def test_keeps_the_steps_result_for_whoever_claims_the_job_next(self, world: World) -> None:
        job = world.job()
        settle(world, admitted(world, job), keep=PLAN)
        world.lapse(job)
        claim = world.claim(job, "another")
        assert claim.steps == (FinishedStep(step="plan", writer="openai", result=PLAN),)

    def test_a_claim_that_has_passed_on_keeps_nothing_and_still_counts_the_money(self, world: World) -> None:
        job = world.job()
        ask = admitted(world, job)
        world.lapse(job)
        assert settle(world, ask, keep=PLAN) is Verdict.STALE
        assert world.claim(job, "another").steps == ()
        assert today(world).cost_usd == GOOD.cost_usd

    def test_a_complete_story_leaves_no_steps(self, world: World) -> None:
        job = world.job()
        ask = admitted(world, job)
        settle(world, ask, keep=PLAN)
        assert ask.token is not None
        assert world.complete(job, ask.token)[0] in TAKEN
        assert world.value("select count(*) from story_steps") == 0


class TestALinesPause:
    def pause(self, world: World, seconds: float = 100, *, slower: bool = False) -> None:
        end = RequestEnd(outcome="rate_limited", error="429", pause_seconds=seconds, slower=slower)
        settle(world, admitted(world), end)

    def test_holds_everybody_with_its_reason(self, world: World) -> None:
        self.pause(world)
        answer = admit(world, new_ask(world))
        assert (answer.verdict, answer.reason, answer.line) == (Verdict.PAUSED, "429", LINE)
        assert 90 < answer.wait_seconds <= 100

    def test_holds_no_other_line(self, world: World) -> None:
        self.pause(world)
        other = replace(LIMITS, line="stories/anthropic")
        assert admit(world, new_ask(world), other).verdict is Verdict.GO

    def test_is_seen_by_everybody_who_looks_at_lines(self, world: World) -> None:
        self.pause(world)
        from datetime import UTC, datetime

        lines = world.store.operations.snapshot(datetime.now(UTC).date()).lines
        assert {line.name: line.paused_reason for line in lines}[LINE] == "429"

    def test_halves_the_rate_when_the_provider_wants_fewer_and_success_brings_it_back(
        self, world: World
    ) -> None:
        limits = replace(LIMITS, requests_per_second=8.0)
        ask = admitted(world, limits=limits)
        settle(world, ask, RequestEnd(outcome="rate_limited", pause_seconds=0, slower=True), limits=limits)

        def rate() -> float:
            return next(line.rate for line in world.store.writing.outlook().lines if line.name == LINE)

        assert rate() == 4.0
        for _ in range(20):
            world.change("update send_lines set next_slot_at = '-infinity', paused_until = '-infinity'")
            settle(world, admitted(world, limits=limits), limits=limits)
        assert rate() == 8.0


class TestTheBudget:
    BUDGET = replace(LIMITS, budget_usd=Decimal("0.12"))

    def test_lets_no_request_through_that_could_exceed_it(self, world: World) -> None:
        admitted(world, limits=self.BUDGET)
        admitted(world, limits=self.BUDGET)
        assert admit(world, new_ask(world), self.BUDGET).verdict is Verdict.LATER

    def test_makes_room_when_a_request_costs_less_than_it_could_have(self, world: World) -> None:
        first = admitted(world, limits=self.BUDGET)
        admitted(world, limits=self.BUDGET)
        settle(world, first)
        assert admit(world, new_ask(world), self.BUDGET).verdict is Verdict.GO

    def test_pauses_writing_until_the_utc_day_is_over_and_says_so(self, world: World) -> None:
        spent = replace(GOOD, cost_usd=Decimal("0.10"))
        settle(world, admitted(world, limits=self.BUDGET), spent)
        answer = admit(world, new_ask(world), self.BUDGET)
        assert (answer.verdict, answer.line) == (Verdict.PAUSED, "stories")
        assert 0 < answer.wait_seconds <= 86_400
        assert "daily budget of 0.12 USD" in answer.reason
        assert "0.1000 USD are spent" in answer.reason

    def test_a_higher_one_lets_writing_go_on(self, world: World) -> None:
        settle(world, admitted(world, limits=self.BUDGET), replace(GOOD, cost_usd=Decimal("0.12")))
        assert admit(world, new_ask(world), self.BUDGET).verdict is Verdict.PAUSED
        assert admit(world, new_ask(world), replace(LIMITS, budget_usd=Decimal(1))).verdict is Verdict.GO
        paused = [line.name for line in world.store.writing.outlook().lines if line.paused_until]
        assert paused == []

    def test_of_nothing_lets_nothing_through(self, world: World) -> None:
        assert admit(world, new_ask(world), replace(LIMITS, budget_usd=Decimal(0))).verdict is Verdict.PAUSED


class TestPostponing:
    def test_costs_no_attempt_and_says_why(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        verdict = world.store.jobs.postpone(job, token=token, wait_seconds=100, reason="no budget")
        assert verdict in TAKEN
        row = world.row("story_jobs", job)
        assert (row["state"], row["attempt"], row["error"]) == ("pending", 0, "no budget")
        assert world.claim(job).verdict is Verdict.LATER

    def test_by_somebody_who_lost_the_job_changes_nothing(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        world.lapse(job)
        world.claimed(job, "another")
        assert world.store.jobs.postpone(job, token=token, wait_seconds=1, reason="x") is Verdict.STALE


@pytest.mark.parametrize("step", ["plan", "draft", "edit"])
def test_the_outlook_counts_how_requests_ended(world: World, step: str) -> None:
    settle(world, admitted(world, step=step))
    settle(world, admitted(world, step=step), RequestEnd(outcome="refused", error="it declined"))
    counts = {row.outcome: (row.count, row.last_error) for row in world.store.writing.outlook().last_hour}
    assert counts == {"ok": (1, ""), "refused": (1, "it declined")}
