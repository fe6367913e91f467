"""Picks from several lists come up in every combination before one returns, and neighbours differ."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from fixionmail.stories.tale.walk import picks

SIZES = st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=5)


@given(sizes=SIZES, first=st.integers(0, 800_000), who=st.text(max_size=8))
def test_no_combination_returns_before_all_have_come(sizes: list[int], first: int, who: str) -> None:
    total = math.prod(sizes)
    days = range(first, first + min(total, 300))
    assert len({picks(sizes, day=day, who=who) for day in days}) == len(days)


@given(sizes=SIZES, day=st.integers(0, 800_000), who=st.text(max_size=8))
def test_every_pick_is_an_index_into_its_list(sizes: list[int], day: int, who: str) -> None:
    found = picks(sizes, day=day, who=who)
    assert len(found) == len(sizes)
    assert all(0 <= index < size for index, size in zip(found, sizes, strict=True))


def test_days_of_a_fortnight_share_three_picks_of_seven_at_most() -> None:
    walk = [picks([4] * 7, day=740_000 + day, who="reader") for day in range(400)]
    near = [(a, b) for at in range(386) for a, b in combinations(walk[at : at + 14], 2)]
    assert max(_shared(a, b) for a, b in near) <= 3
    assert max(_shared(a, b) for a, b in pairwise(walk)) <= 1


def test_subscribers_start_at_different_places() -> None:
    assert len({picks([4] * 7, day=740_000, who=str(user)) for user in range(100)}) > 90


def _shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return sum(x == y for x, y in zip(a, b, strict=True))
