"""`fixionmail stories`, as an operator uses it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from fixionmail.stories.prices import load_prices
from tests.commands import run
from tests.contract.stories.endpoints import Endpoint, running_endpoint
from tests.faults.deployment import Deployment, deployment
from tests.standins.model_api import ModelFault


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with running_endpoint("openai") as running:
        yield running


@pytest.fixture
def made(tmp_path: Path, database_url: str, endpoint: Endpoint) -> Iterator[Deployment]:
    with deployment(tmp_path, database_url, **endpoint.settings) as running:
        yield running


def test_a_preview_shows_the_story_its_cost_and_every_gate(made: Deployment, endpoint: Endpoint) -> None:
    bible = made.home / "bible.toml"
    bible.write_text('genre = "mystery"\nsetting = "a lighthouse"\nintensity = 4\n')
    ended = run(made.home, "stories", "preview", "--bible", str(bible), "--json", **made.settings)
    assert ended.code == 0, ended.err
    shown = ended.json()
    assert shown["good"]
    assert len(shown["story"]["body"].split()) >= 600
    assert {gate["problem"] for gate in shown["gates"]} == {None}
    assert [request["step"] for request in shown["requests"]] == ["plan", "draft", "edit"]
    price = load_prices().find("openai", "gpt-5.6-luna")
    assert price is not None
    entries = endpoint.server.entries()
    assert Decimal(shown["cost_usd"]) == sum(
        (e.input_tokens * price.input + e.output_tokens * price.output for e in entries), Decimal(0)
    ) / Decimal(1_000_000)


def test_a_preview_for_a_subscriber_uses_their_bible_and_mails_nobody(
    made: Deployment, endpoint: Endpoint
) -> None:
    (user,) = made.world.subscribe(1)
    ended = run(made.home, "stories", "preview", "--email", str(user), **made.settings)
    assert ended.code == 0, ended.err
    assert "a complete ending" in ended.out
    assert "a lighthouse" in endpoint.server.entries("plan")[0].material
    assert made.world.value("select count(*) from stories") == 0
    assert made.world.value("select count(*) from story_requests") == 3


def test_a_preview_that_could_not_be_mailed_says_why_and_ends_with_1(
    made: Deployment, endpoint: Endpoint
) -> None:
    endpoint.server.faults.add(ModelFault.REFUSAL_IN_WORDS, match="draft", times=100)  # type: ignore[arg-type]
    bible = made.home / "bible.toml"
    bible.write_text("")
    ended = run(made.home, "stories", "preview", "--bible", str(bible), **made.settings)
    assert ended.code == 1
    assert "No story: The draft from openai was refused" in ended.err


def test_a_bible_out_of_bounds_is_a_usage_error(made: Deployment) -> None:
    bible = made.home / "bible.toml"
    bible.write_text("length = 50000")
    ended = run(made.home, "stories", "preview", "--bible", str(bible), **made.settings)
    assert (ended.code, "length" in ended.err) == (2, True)


def test_nobody_named_is_a_usage_error(made: Deployment) -> None:
    assert run(made.home, "stories", "preview", **made.settings).code == 2


def test_stories_are_listed_shown_and_rewritten(made: Deployment) -> None:
    (delivery,) = made.world.deliveries(1)
    listed = run(made.home, "stories", "list", "--json", **made.settings).json()
    (story,) = listed["stories"]
    shown = run(made.home, "stories", "show", str(delivery), "--text", **made.settings)
    assert shown.code == 0, shown.err
    assert "It burned." in shown.out
    again = run(
        made.home, "stories", "rewrite", story["story_id"], "--yes", "--reason", "dull", **made.settings
    )
    assert (again.code, "written anew" in again.out) == (0, True)
    assert made.world.column("select state from story_jobs") == ["pending"]
    assert made.world.audit("story rewrite")[0]["reason"] == "dull"


def test_a_story_nobody_knows_ends_with_1(made: Deployment) -> None:
    ended = run(made.home, "stories", "show", "01900000-0000-7000-8000-000000000000", **made.settings)
    assert (ended.code, "There is no story" in ended.err) == (1, True)
