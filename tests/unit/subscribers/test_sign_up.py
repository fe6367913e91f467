"""A sign-up is stored in one form, or refused with what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from fixionmail.errors import InputError
from fixionmail.subscribers.sign_up import MAX_PREFERENCE, SignUp, sign_up

GOOD: dict[str, Any] = {
    "email": "ada@example.com",
    "timezone": "Europe/London",
    "delivery_time": "07:30",
    "preferences": {},
}


def test_everything_is_stored_in_one_form() -> None:
    wanted = sign_up(
        email=" Ada@EXAMPLE.com ",
        timezone=" Europe/London ",
        delivery_time="7:30",
        preferences={"genre": "  quiet \n mystery ", "setting": "", "character": " "},
    )
    assert wanted == SignUp(
        email="Ada@example.com",
        timezone="Europe/London",
        delivery_time="07:30",
        story_bible={"genre": "quiet mystery"},
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"email": "ada.example.com"}, "is not an address"),
        ({"timezone": "Mars/Base"}, "'Mars/Base' is not a time zone; write one like Europe/Berlin"),
        ({"timezone": ""}, "is not a time zone"),
        ({"timezone": "../../etc/passwd"}, "is not a time zone"),
        ({"delivery_time": "24:00"}, "'24:00' is not a time of day; write one like 07:30"),
        ({"delivery_time": "8"}, "is not a time of day"),
        (
            {"preferences": {"genre": "x" * (MAX_PREFERENCE + 1)}},
            "The genre has 501 characters; 500 are allowed",
        ),
        ({"preferences": {"setting": "a\x00b"}}, "The setting holds control characters"),
        ({"preferences": {"setting": "a\x1b[31mb"}}, "The setting holds control characters"),
        ({"preferences": {"character": "\udcff"}}, "The character holds"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_would_be_right(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        sign_up(**{**GOOD, **wrong})
    assert words in str(caught.value)


def test_a_long_wrong_value_is_shown_shortened() -> None:
    with pytest.raises(InputError) as caught:
        sign_up(**{**GOOD, "timezone": "x" * 10_000})
    assert len(str(caught.value)) < 200
