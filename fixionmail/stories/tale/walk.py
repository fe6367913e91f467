"""A walk through every combination before any comes back, the same walk for the same subscriber.

A story is a pick of one entry from each of several lists. Read as digits of a number in mixed radix, the picks of
one day and the next differ by a stride that shares no factor with the number of combinations, so that all of them
come up before the first returns; and the stride's digits are ones, so that no list repeats its pick overnight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fixionmail.stories.tale.dice import seed


def picks(sizes: Sequence[int], *, day: int, who: str) -> tuple[int, ...]:
    """One index into each list on this day, given the lists' sizes (each at least 1).

    Args:
        sizes: how many entries each list has.
        day: any running number that grows by one a day.
        who: where the walk starts; each subscriber somewhere else.
    """
    total = math.prod(sizes)
    at = (_start(who) + day * _stride(sizes, total)) % total
    found: list[int] = []
    for size in sizes:
        at, index = divmod(at, size)
        found.append(index)
    return tuple(found)


def _start(who: str) -> int:
    return seed(f"walk/{who}")


def _stride(sizes: Sequence[int], total: int) -> int:
    stride, weight = 0, 1
    for size in sizes:
        stride += weight
        weight *= size
    while math.gcd(stride, total) != 1:
        stride += 1
    return stride
