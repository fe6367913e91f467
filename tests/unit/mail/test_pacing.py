"""Telling the database's clock from our own, and using a slot in its time or not at all."""

from __future__ import annotations

import pytest

from fixionmail.mail.pacing import LATE_SECONDS, SlotClock, SlotMissedError


class Time:
    """A monotonic clock that moves when somebody sleeps; ``oversleeps`` by so much each time."""

    def __init__(self, oversleeps: float = 0.0) -> None:
        self.now = 1000.0
        self.oversleeps = oversleeps

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.oversleeps


def clock_at(time: Time, *, database: float) -> SlotClock:
    clock = SlotClock(time.monotonic, time.sleep)
    clock.learn(asked_at=time.now, answered_at=time.now, now=database)
    return clock


def test_a_slot_is_waited_for_on_the_databases_clock() -> None:
    time = Time()
    clock_at(time, database=50.0).wait_for(53.5)
    assert time.now == pytest.approx(1003.5)


def test_a_slot_a_little_ago_may_still_be_used() -> None:
    clock_at(Time(), database=50.0).wait_for(50.0 - LATE_SECONDS + 0.001)


def test_a_slot_longer_ago_is_missed() -> None:
    with pytest.raises(SlotMissedError):
        clock_at(Time(), database=50.0).wait_for(50.0 - LATE_SECONDS - 0.001)


def test_who_wakes_too_late_has_missed_the_slot() -> None:
    with pytest.raises(SlotMissedError):
        clock_at(Time(oversleeps=0.2), database=50.0).wait_for(51.0)


def test_the_closest_reading_counts_whenever_it_was_taken() -> None:
    time = Time()
    clock = SlotClock(time.monotonic, time.sleep)
    clock.learn(asked_at=1000.0, answered_at=1000.002, now=50.001)
    clock.learn(
        asked_at=1001.0, answered_at=1003.0, now=51.1
    )  # waited for a lock: it was 51.1 right at the start
    assert clock.until(60.0) == pytest.approx(10.0, abs=0.002)


def test_a_reading_of_long_ago_gives_way_to_one_less_close() -> None:
    time = Time()
    clock = SlotClock(time.monotonic, time.sleep)
    clock.learn(asked_at=1000.0, answered_at=1000.002, now=50.001)
    time.now = 5000.0
    clock.learn(asked_at=4999.9, answered_at=5000.0, now=4050.0)
    assert clock.until(4060.0) == pytest.approx(9.95)
