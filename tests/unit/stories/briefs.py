"""Briefs for the tests of ``fixionmail.stories``."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from fixionmail.models.stories import Brief

FIRST_DAY = date(2026, 11, 24)


def brief(
    genre: str = "",
    *,
    day: int = 0,
    user: int = 1,
    setting: str = "",
    character: str = "",
    past_titles: tuple[str, ...] = (),
) -> Brief:
    """What ``user`` is to get ``day`` days after the first day."""
    return Brief(
        job_id=UUID(int=user << 64 | day),
        user_id=UUID(int=user),
        local_date=FIRST_DAY + timedelta(days=day),
        genre=genre,
        setting=setting,
        character=character,
        past_titles=past_titles,
    )
