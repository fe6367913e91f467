"""The time limit that travels with a piece of work."""

from __future__ import annotations

import threading

import pytest

from fixionmail import deadline
from fixionmail.errors import DeadlineExceededError


def test_without_a_limit_the_caller_gets_what_it_asks_for() -> None:
    assert deadline.remaining(7.0) == 7.0


def test_within_a_limit_no_more_is_left_than_it_allows() -> None:
    with deadline.limit(60):
        assert deadline.remaining(7.0) == 7.0
        assert 59 < deadline.remaining(900.0) <= 60


def test_an_outer_limit_that_ends_sooner_still_holds() -> None:
    with deadline.limit(10), deadline.limit(60):
        assert deadline.remaining(900.0) <= 10


def test_when_the_time_is_over_the_work_is_told() -> None:
    with deadline.limit(0), pytest.raises(DeadlineExceededError):
        deadline.check()


def test_another_thread_can_end_the_time_also_for_inner_limits() -> None:
    with deadline.limit(60) as outer, deadline.limit(30):
        thread = threading.Thread(target=outer.cancel)
        thread.start()
        thread.join()
        with pytest.raises(DeadlineExceededError):
            deadline.check()


def test_a_limit_ends_with_its_block() -> None:
    with deadline.limit(0):
        pass
    deadline.check()
