"""A walk through every combination before any comes back, the same walk for the same subscriber.

A story is a pick of one entry from each of several lists. Read as digits of a number in mixed radix, the picks of one
day and the next differ by a fixed stride. It shares no factor with the number of combinations, so that all of them come
up before the first returns; and its digits were chosen, by trying all, to keep stories of the same weeks apart: of
seven lists of four, two neighbouring days share at most one pick, two days of a fortnight at most three, of two months
at most four, of a year at most five.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle

from fixionmail.stories.tale.dice import seed

_STRIDE_DIGITS = (3, 1, 0, 2, 2, 2, 1, 2, 2)


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
    for size, digit in zip(sizes, cycle(_STRIDE_DIGITS), strict=False):
        stride += weight * digit
        weight *= size
    while math.gcd(stride, total) != 1:
        stride += 1
    return stride
