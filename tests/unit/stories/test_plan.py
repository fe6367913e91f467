"""The plan that a model answers with: read, checked, and what the bible learns from it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixionmail.models.stories import CastMember
from fixionmail.stories.plan import Plan, UnfitAnswerError, read_plan
from tests.unit.stories.briefs import brief

BRIEF = replace(
    brief("mystery", past_titles=("The Lamp",)),
    past_plots=("Ada looks for the lamp in the tower and finds a letter.",),
    past_names=("Cleo",),
)
ANSWER: dict[str, Any] = {
    "title": "The Letter",
    "plot": "Ben reads what nobody was meant to read.",
    "characters": [{"name": name, "role": "r"} for name in ("Ben", "Dot", "Eve", "Finn")],
    "beats": ["One.", "Two.", "Three.", "Four.", "Five."],
}


def read(**changes: Any) -> Plan:
    return read_plan(json.dumps({**ANSWER, **changes}), BRIEF)


def test_a_sound_answer_is_a_plan() -> None:
    plan = read()
    assert (plan.title, plan.plot, len(plan.beats)) == (ANSWER["title"], ANSWER["plot"], 5)
    assert Plan.from_json(plan.to_json()) == plan


def test_a_fence_around_the_json_does_not_matter() -> None:
    assert read_plan(f"```json\n{json.dumps(ANSWER)}\n```", BRIEF) == read()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"title": ""}, "title is empty"),
        ({"title": 3}, "title is not text"),
        ({"title": "the LAMP"}, "already had"),
        ({"title": "x" * 201}, "201 characters"),
        ({"title": "{{title}}"}, "placeholder"),
        ({"plot": "x" * 900}, "900 characters"),
        ({"plot": "Ada looks for the lamp in the tower and finds the letter."}, "told before"),
        ({"characters": []}, "1 to 8 characters"),
        ({"characters": ["Ben"]}, "not objects"),
        ({"characters": [{"name": "", "role": "r"}]}, "name is empty"),
        ({"beats": ["One.", "Two."]}, "3 to 12 beats"),
        ({"beats": ["One.", "Two.", 3]}, "beat is not text"),
        ({"beats": "One. Two. Three."}, "3 to 12 beats"),
    ],
)
def test_an_unusable_answer_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnfitAnswerError, match=reason):
        read(**changes)


def test_a_name_of_an_earlier_story_is_not_given_again() -> None:
    people = [*ANSWER["characters"], {"name": "CLEO", "role": "r"}]
    with pytest.raises(UnfitAnswerError, match="'CLEO' was somebody else's name"):
        read(characters=people)


def test_the_cast_comes_back_under_its_names() -> None:
    cast = (CastMember(name="Cleo", role="keeper"),)
    people = [{"name": "Cleo", "role": "keeper"}, *ANSWER["characters"]]
    told = replace(BRIEF, cast=cast)
    plan = read_plan(json.dumps({**ANSWER, "characters": people}), told)
    assert plan.cast_after(told) == cast
    assert plan.new_names(told) == ("Ben", "Dot", "Eve", "Finn")


def test_the_leading_people_of_the_first_story_become_the_cast() -> None:
    plan = read()
    assert [person.name for person in plan.cast_after(BRIEF)] == ["Ben", "Dot", "Eve"]
    assert plan.new_names(BRIEF) == ("Finn",)


@given(
    st.text(max_size=500)
    | st.recursive(st.none() | st.booleans() | st.text(max_size=9), st.lists).map(json.dumps)
)
def test_whatever_is_answered_is_a_plan_or_is_refused(text: str) -> None:
    with pytest.raises(UnfitAnswerError):
        read_plan(text, BRIEF)


@given(
    st.fixed_dictionaries(
        {
            "title": st.text(),
            "plot": st.text(),
            "characters": st.lists(st.fixed_dictionaries({"name": st.text(), "role": st.text()}), max_size=4),
            "beats": st.lists(st.text(), max_size=6),
        }
    )
)
def test_what_passes_is_on_one_line_and_has_no_control_characters(fields: dict[str, Any]) -> None:
    try:
        plan = read_plan(json.dumps(fields), BRIEF)
    except UnfitAnswerError:
        return
    for text in (plan.title, plan.plot, *plan.beats, *(person.name for person in plan.people)):
        assert text
        assert text.isprintable() or "\u200d" in text or "\xad" in text or not text.isascii()
        assert "\n" not in text


def test_json_too_deep_to_read_is_refused() -> None:
    with pytest.raises(UnfitAnswerError, match="not JSON"):
        read_plan("[" * 100_000, BRIEF)
