"""The gate: what a writer hands in is cleaned, and becomes a story only if a subscriber can be sent it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixionmail.errors import StoryError
from fixionmail.models.stories import Brief, Story
from fixionmail.settings import Settings
from fixionmail.stories import generate, writer_for
from fixionmail.stories.desk import Desk
from fixionmail.stories.writer import Limits
from tests.unit.stories.briefs import brief

ENOUGH = "The lamp on the pier was lit. " * 100
TRICKY = st.sampled_from(
    ["\x00", "\r\n", "\r", "\n\n\n", "\t", "\x1b[31m", "\ud800", "\u202e", "\u2028", "\ufeff", " \n"]
)


@dataclass(frozen=True, kw_only=True)
class Dictated:
    """A writer that writes what it is told."""

    title: str
    body: str
    name: str = "dictated"

    def limits(self, brief: Brief) -> Limits:
        return Limits.around(brief.length, brief.language)

    def write(self, brief: Brief, desk: Desk) -> Story:
        return Story(title=self.title, body=self.body, writer=self.name)


class Refusing:
    """A writer that refuses."""

    name = "refusing"

    def limits(self, brief: Brief) -> Limits:
        return Limits.around(brief.length, brief.language)

    def write(self, brief: Brief, desk: Desk) -> Story:
        raise StoryError("The model declined to write about that.")


def generated(title: str = "The Lamp", body: str = ENOUGH, past_titles: tuple[str, ...] = ()) -> Story:
    return generate(brief(past_titles=past_titles), Dictated(title=title, body=body), Desk())


def test_a_sound_story_passes_and_carries_the_writers_name() -> None:
    assert generated() == Story(title="The Lamp", body=ENOUGH.strip(), writer="dictated")


def test_paragraphs_are_parted_by_one_blank_line_whatever_the_line_ends() -> None:
    body = f"One.  \r\n\r\n\r\n \t \rTwo,\r\nstill two.\u2029\u2029{ENOUGH}"
    assert generated(body=body).body == f"One.\n\nTwo,\nstill two.\n\n{ENOUGH.strip()}"


def test_what_the_database_and_the_mail_cannot_carry_is_taken_out() -> None:
    story = generated(
        title=" The\x00 \u202eLamp\ud83d\ufeff ", body=f"A\x00\x1b\u2067\udfff\x7f lamp.\n\n{ENOUGH}"
    )
    assert story.title == "The Lamp"
    assert story.body.startswith("A lamp.\n\n")


def test_emoji_joiners_and_right_to_left_text_stay() -> None:
    body = f"مرحبا بالعالم 👩‍🚀 नमस्ते\n\n{ENOUGH}"
    assert generated(body=body).body.startswith("مرحبا بالعالم 👩‍🚀 नमस्ते\n\n")


@given(
    title=st.lists(TRICKY | st.text(max_size=5)).map("".join),
    body=st.lists(TRICKY | st.text(max_size=20)).map("".join),
)
def test_every_story_that_passes_can_be_stored_and_mailed(title: str, body: str) -> None:
    try:
        story = generated(title=title, body=f"{body}\n\n{ENOUGH}")
    except StoryError:
        return
    story.body.encode()
    assert story.title == story.title.strip() != ""
    assert not [c for c in story.title if unicodedata.category(c) in ("Cc", "Cs")]
    assert not [c for c in story.body if unicodedata.category(c) in ("Cc", "Cs") and c != "\n"]
    assert "\n\n\n" not in story.body
    assert generated(title=story.title, body=story.body) == story


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("", "no title"),
        (" \x00\n ", "no title"),
        ("The Lamp\nBcc: a@b.c", "several lines"),
        ("The Lamp\r\nAgain", "several lines"),
        ("The Lamp\u2028Again", "several lines"),
        ("x" * 201, "201 characters"),
        ("the  LAMP", "already had"),
        ("Straße", "already had"),
    ],
)
def test_an_unusable_title_is_refused_with_its_reason(title: str, reason: str) -> None:
    with pytest.raises(StoryError, match=reason):
        generated(title=title, past_titles=("The Lamp", "STRASSE"))


def test_a_title_of_200_characters_passes() -> None:
    assert generated(title="x" * 200).title == "x" * 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "empty"),
        ("\x00 \r\n \u202e", "empty"),
        ("word " * 599, "599 words"),
        ("word " * 1_201, "1201 words"),
        ("I am sorry, but I cannot write that.", "declined"),
    ],
)
def test_an_unusable_text_is_refused_with_its_reason(body: str, reason: str) -> None:
    with pytest.raises(StoryError, match=reason):
        generated(body=body)


@pytest.mark.parametrize("words", [600, 1_200])
def test_the_bounds_of_length_are_allowed(words: int) -> None:
    assert len(generated(body="word " * (words - 1) + "end.").body.split()) == words


def test_a_writers_refusal_is_told_as_it_is() -> None:
    with pytest.raises(StoryError, match="declined to write about that"):
        generate(brief(), Refusing(), Desk())


def test_without_settings_the_offline_writer_writes() -> None:
    assert writer_for(Settings.model_construct()).name == "offline"
