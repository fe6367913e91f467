"""What stands in the way of stories is named, and is not taken for trouble with mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fixionmail.ops import checks
from fixionmail.ops.views.database import LineView
from fixionmail.ops.views.findings import Finding
from fixionmail.ops.views.section import Section
from tests.unit.ops.looks import NOW, well


def found(name: str, reason: str) -> Finding:
    look = well()
    assert look.deliveries.value is not None
    line = LineView(name=name, rate=5.0, paused_until=NOW + timedelta(minutes=1), paused_reason=reason)
    deliveries = replace(look.deliveries.value, lines=(line,))
    (finding,) = checks.find(replace(look, deliveries=Section(value=deliveries)))
    return finding


def test_a_spent_budget_is_named_with_the_setting_that_raises_it() -> None:
    finding = found("stories", "the daily budget of 5 USD has no room for another request")
    assert (finding.kind, finding.drill) == ("story-budget", 23)
    assert finding.cures[0].command == "STORY_DAILY_BUDGET_USD"


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("Anthropic answered 401: invalid x-api-key.", "anthropic refuses to write for us"),
        (
            "Anthropic answered 529: Overloaded.",
            "anthropic is overloaded or limits us",
        ),
        (
            "Anthropic answered 429: slow down.",
            "anthropic is overloaded or limits us",
        ),
    ],
)
def test_a_provider_that_is_not_asked_is_named_with_its_answer(reason: str, title: str) -> None:
    finding = found("stories/anthropic", reason)
    assert (finding.kind, finding.title, finding.cause) == ("story-line", title, reason)


@pytest.mark.parametrize("name", ["stories", "stories/anthropic"])
@pytest.mark.parametrize("reason", ["answered 401", "answered 429: slow down"])
def test_a_line_that_stands_still_is_opened_by_a_key(name: str, reason: str) -> None:
    (opening,) = (cure for cure in found(name, reason).cures if cure.action)
    assert (opening.action, opening.targets) == ("open-line", (name,))


def test_a_refused_key_is_cured_by_its_setting_and_an_overload_by_waiting() -> None:
    refused = found("stories/openai", "The OpenAI endpoint answered 401: no.")
    assert refused.cures[0].command == "OPENAI_API_KEY=<key>"
    assert found("stories/openai", "The OpenAI endpoint answered 529: no.").cures[0].automatic
