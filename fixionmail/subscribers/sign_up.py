"""What somebody asks for when they sign up, checked and in the form in which it is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fixionmail.errors import InputError
from fixionmail.mail.addresses import check_address
from fixionmail.schedule import parse_time, zone
from fixionmail.wishes import WISHES, check_wish

PREFERENCES = ("genre", "setting", "character", "intensity", "length", "language")
MAX_PREFERENCE = 500
"""Characters of one preference; a few sentences."""

_SHOWN = 60
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class SignUp:
    """One checked sign-up. Everything in it can be stored, and planned with."""

    email: str
    timezone: str
    delivery_time: str
    story_bible: Mapping[str, str]


def sign_up(*, email: str, timezone: str, delivery_time: str, preferences: Mapping[str, str]) -> SignUp:
    """Check a sign-up.

    Args:
        email: an address.
        timezone: an IANA name.
        delivery_time: HH:MM on the subscriber's clock.
        preferences: what is known of :data:`PREFERENCES`; empty ones are left out.

    Raises:
        InputError: the first thing that is wrong.
    """
    return SignUp(
        email=check_address(email),
        timezone=check_timezone(timezone),
        delivery_time=check_delivery_time(delivery_time),
        story_bible={
            name: checked for name, text in preferences.items() if (checked := check_preference(name, text))
        },
    )


def check_timezone(text: str) -> str:
    """The name of an IANA zone, stripped.

    Raises:
        InputError: there is no zone of that name.
    """
    name = text.strip()
    if zone(name) is None:
        raise InputError(
            f"{_shown(name)} is not a time zone; write one like Europe/Berlin or America/New_York."
        )
    return name


def check_delivery_time(text: str) -> str:
    """A time of day as HH:MM.

    Raises:
        InputError: it is not a time of day.
    """
    time = parse_time(text)
    if time is None:
        raise InputError(f"{_shown(text.strip())} is not a time of day; write one like 07:30.")
    return f"{time:%H:%M}"


def check_preference(name: str, text: str) -> str:
    """A preference on one line; intensity, length and language within their bounds.

    Raises:
        InputError: it is too long or out of bounds, or holds what is not text.
    """
    line = " ".join(text.split())
    if len(line) > MAX_PREFERENCE:
        raise InputError(f"The {name} has {len(line)} characters; {MAX_PREFERENCE} are allowed.")
    if _NO_TEXT.search(line):
        raise InputError(f"The {name} holds control characters or bytes that are not text.")
    return check_wish(name, line) if name in WISHES else line


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
