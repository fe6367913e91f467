"""Whole deployments whose stories come from language models: real processes, real SDKs, and servers that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from fixionmail.store.writing import Writing
from fixionmail.stories.prices import load_prices
from tests.commands import until
from tests.contract.stories.endpoints import Endpoint, running_endpoint
from tests.faults.deployment import Deployment, deployment
from tests.standins.model_api import REQUEST_FAULTS, UNTOLD_FAULTS, ModelFault

READERS = 50
INJECTED = 0.2
"""Of all requests."""
STRUCK = tuple(fault for fault in ModelFault if fault is not ModelFault.UNAUTHORIZED)
"""A key that is refused stops the line for a minute, which has a test of its own."""
STEPS = ("plan", "draft", "edit")


@pytest.fixture(params=["anthropic", "openai"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    with running_endpoint(request.param, seed=7) as running:
        yield running


def jobs_for(made: Deployment, count: int) -> None:
    """So many readers whose stories are due, and wait to be written."""
    made.world.jobs(count)
    made.pass_time(seconds=61)  # whoever planned them here no longer leads, and nobody has come for them


def writing(made: Deployment) -> Writing:
    return made.world.store.writing


def titles(made: Deployment) -> list[str]:
    return made.world.column("select title from stories")


def all_wait(made: Deployment) -> bool:
    """Nothing runs, and what is not written says why."""
    silent = (
        "select count(*) from story_jobs where state = 'running' or (state = 'pending' and error is null)"
    )
    return bool(made.world.value("select count(*) from story_jobs") and not made.world.value(silent))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_fifty_readers_get_fifty_good_mails_though_a_fifth_of_the_requests_fail(
    tmp_path: Path, database_url: str, redis_url: str, endpoint: Endpoint
) -> None:
    share = 1 - (1 - INJECTED) ** (1 / len(STRUCK))
    for fault in STRUCK:
        endpoint.server.faults.add(fault, times=None, rate=share, seconds=1.0)  # type: ignore[arg-type]
    with deployment(tmp_path, database_url, redis_url, WORKER_CONCURRENCY="20", **endpoint.settings) as made:
        jobs_for(made, READERS)
        with made.run("worker"), made.run("scheduler"), made.run("delivery"):
            made.settle(300)
        made.assert_one_mail_each(READERS)
        assert len(set(titles(made))) == READERS
        assert sum(endpoint.server.faults.struck().values()) > READERS * 3 * INJECTED / 2
        assert_costs_are_exact(made, endpoint)
        assert made.world.value("select count(*) from story_steps") == 0


def assert_costs_are_exact(made: Deployment, endpoint: Endpoint) -> None:
    """Our table has each request of the server's ledger, and to the last token what the server told."""
    told = [entry for entry in endpoint.server.entries() if entry.told and entry.fault not in UNTOLD_FAULTS]
    untold = [entry for entry in endpoint.server.entries() if entry.fault in UNTOLD_FAULTS]
    unbilled = [entry for entry in endpoint.server.entries() if entry.fault in REQUEST_FAULTS]
    (row,) = writing(made).outlook().today
    assert row.requests == len(endpoint.server.entries()) == len(told) + len(untold) + len(unbilled)
    assert row.unknown == len(untold)
    assert row.usage.input_tokens == sum(entry.input_tokens for entry in told)
    assert row.usage.output_tokens == sum(entry.output_tokens for entry in told)
    price = load_prices().find(endpoint.provider, row.model)
    assert price is not None
    assert row.cost_usd == price.of(row.usage)
    of_stories = made.world.value("select sum(cost_usd) from story_requests")
    assert Decimal(of_stories) == row.cost_usd < row.at_most_usd


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before asking for the", "after asking for the"])
def test_a_worker_killed_in_a_step_loses_nothing_and_repeats_no_finished_step(
    tmp_path: Path, database_url: str, step: str, moment: str
) -> None:
    with (
        running_endpoint("openai") as endpoint,
        deployment(tmp_path, database_url, **endpoint.settings) as made,
    ):
        jobs_for(made, 1)
        with made.run("scheduler", fault=f"kill {moment} {step}") as first:
            assert first.wait(60) == -9
        finished = made.world.column("select step from story_steps order by finished_at")
        assert finished == list(STEPS[: STEPS.index(step)])
        made.pass_time(seconds=70)
        with made.run("scheduler"), made.run("delivery"):
            made.settle()
        made.assert_one_mail_each(1)
        asked = Counter(entry.step for entry in endpoint.server.entries())
        repeated = {step} if moment.startswith("after") else set()
        assert asked == Counter(STEPS) + Counter(repeated)


def test_a_worker_killed_before_it_hands_in_the_story_asks_for_nothing_again(
    tmp_path: Path, database_url: str
) -> None:
    with (
        running_endpoint("openai") as endpoint,
        deployment(tmp_path, database_url, **endpoint.settings) as made,
    ):
        jobs_for(made, 1)
        with made.run("scheduler", fault="kill before complete_story_job_v2") as first:
            assert first.wait(60) == -9
        made.pass_time(seconds=70)
        with made.run("scheduler"), made.run("delivery"):
            made.settle()
        made.assert_one_mail_each(1)
        assert Counter(entry.step for entry in endpoint.server.entries()) == Counter(STEPS)


def test_a_provider_that_refuses_our_key_leaves_the_stories_to_the_second_one(
    tmp_path: Path, database_url: str
) -> None:
    with (
        running_endpoint("anthropic") as first,
        running_endpoint("openai") as second,
        deployment(
            tmp_path,
            database_url,
            STORY_FALLBACK_PROVIDER="openai",
            **{**second.settings, **first.settings, "ANTHROPIC_API_KEY": "sk-revoked"},
        ) as made,
    ):
        jobs_for(made, 3)
        with made.run("scheduler"), made.run("delivery"):
            made.settle()
        made.assert_one_mail_each(3)
        rows = made.world.connection.execute("select writer, fallback_from from stories").fetchall()
        assert {writer for writer, _ in rows} == {"openai"}
        assert all(why.startswith("anthropic: Anthropic answered 401") for _, why in rows)
        paused = {
            line.name: line.paused_reason for line in writing(made).outlook().lines if line.paused_until
        }
        assert "401" in paused["stories/anthropic"]


def test_a_spent_budget_pauses_writing_says_so_and_costs_no_attempt(
    tmp_path: Path, database_url: str
) -> None:
    with (
        running_endpoint("openai") as endpoint,
        deployment(tmp_path, database_url, STORY_DAILY_BUDGET_USD="0.10", **endpoint.settings) as made,
    ):
        jobs_for(made, 12)
        with made.run("scheduler"):
            until(lambda: all_wait(made), "every story to be written or postponed")
        today = writing(made).outlook().today
        assert sum(row.at_most_usd for row in today) <= Decimal("0.10")
        waiting = made.world.connection.execute(
            "select attempt, error from story_jobs where state = 'pending'"
        ).fetchall()
        assert waiting
        assert {attempt for attempt, _ in waiting} == {0}
        assert all("daily budget of 0.1 USD" in error for _, error in waiting)
        with made.run("scheduler", STORY_DAILY_BUDGET_USD="10"), made.run("delivery"):
            made.pass_time(seconds=400)
            made.settle()
        made.assert_one_mail_each(12)
