"""The filter line: read, refused in words, completed."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixionmail.errors import InputError
from fixionmail.ops.filters import JobFilter, hints, parse


def test_an_empty_line_means_every_job() -> None:
    assert parse("  ") == JobFilter()
    assert parse("").is_plain


def test_every_part_is_read() -> None:
    assert parse(
        "state:failed,limbo queue:emails age>10m age<2h err:Timeout id:42 func:send words HERE"
    ) == JobFilter(
        states=("failed", "limbo"),
        queue="emails",
        older=timedelta(minutes=10),
        newer=timedelta(hours=2),
        error="timeout",
        id_part="42",
        function="send",
        words=("words", "here"),
    )


def test_states_and_a_queue_need_no_search() -> None:
    assert parse("state:failed state:queued queue:emails").is_plain
    assert not parse("state:failed x").is_plain


def test_quotes_hold_words_together() -> None:
    parsed = parse('err:"no such file" "two words"')
    assert (parsed.error, parsed.words) == ("no such file", ("two words",))


def test_what_looks_like_a_field_and_is_none_is_a_word() -> None:
    assert parse("http://example.com Error:x package>10").words == (
        "http://example.com",
        "error:x",
        "package>10",
    )


def test_an_error_is_looked_for_among_failed_jobs() -> None:
    assert parse("err:x").searched_states == ("failed",)
    assert parse("err:x state:finished").searched_states == ("finished",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state:broken", "There is no state 'broken'. States are started, limbo"),
        ("state:", "state: needs a value"),
        ("queue:", "queue: needs a value"),
        ("queue:a queue:b", "queue: is there twice"),
        ("age>10y", "age>10y cannot be read"),
        ("age:10m", "age:10m cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(text)
    assert said in str(refused.value)


def test_hints_complete_the_word_that_is_being_typed() -> None:
    assert [word for word, _ in hints("state:f")] == ["state:failed", "state:finished"]
    assert [word for word, _ in hints("state:failed,q")] == ["state:failed,queued"]
    assert [word for word, _ in hints("x queue:e", ["emails", "stories"])] == ["queue:emails"]
    assert "age>" in [word for word, _ in hints("")]
    assert [word for word, _ in hints("er")] == ["err:"]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InputError):
        assert isinstance(parse(text), JobFilter)
    assert all(word and meaning for word, meaning in hints(text))
