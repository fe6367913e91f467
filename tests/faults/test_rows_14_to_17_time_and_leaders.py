"""Rows 14 to 17: many leaders, clocks that are off, days that are odd, and everything down for a while."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from fixionmail.jobs.dispatch import FallbackDispatcher, InlineDispatcher
from fixionmail.loops.scheduler import Scheduler
from fixionmail.models.subscribers import NewSubscriber
from fixionmail.schedule import first_due
from tests.commands import until
from tests.contract.store.world import planned
from tests.faults.deployment import Deployment, state_of

CLOCK = str(Path(__file__).with_name("clock"))

# ---- Row 14: leaders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_any_number_of_schedulers_and_delivery_loops_make_one_mail_each(
    queued: Deployment, copies: int
) -> None:
    queued.add_readers(20)
    with ExitStack() as stack:
        for kind in ["scheduler", "delivery"] * copies + ["worker"]:
            stack.enter_context(queued.run(kind))
        until(lambda: len(queued.mails()) == 20, "all mail")
        queued.settle()
    queued.assert_one_mail_each(20)
    assert queued.world.value("select count(*) from story_jobs") == 20


@pytest.mark.parametrize(
    ("kind", "point"),
    [("scheduler", "before plan_stories_v1"), ("delivery", "before delivery_tick_v1")],
)
def test_a_leader_that_slept_beyond_its_lease_writes_nothing_when_it_wakes(
    fallback: Deployment, kind: str, point: str
) -> None:
    fallback.add_readers(5)
    with fallback.run(kind, fault=f"stop {point}") as sleeper:
        until(lambda: state_of(sleeper) == "stopped", "the leader to stop before it writes")
        (slept,) = fallback.world.column("select fence from leases where name = %s", kind)
        fallback.pass_time(seconds=31)
        with fallback.run("scheduler"), fallback.run("delivery"):
            until(lambda: len(fallback.mails()) == 5, "another leader to see to the mail")
            fallback.settle()
            (fence,) = fallback.world.column("select fence from leases where name = %s", kind)
            assert fence > slept
            sleeper.send_signal(signal.SIGCONT)  # it ends its call, then is told to stop
    assert fallback.world.value("select count(*) from story_jobs") == 5
    fallback.assert_one_mail_each(5)


def test_the_call_of_a_leader_that_was_replaced_plans_nothing_when_it_arrives(fallback: Deployment) -> None:
    world = fallback.world
    (reader,) = world.subscribe()
    slept = world.lead("scheduler")
    fallback.pass_time(seconds=31)
    fence = world.lead("scheduler", "another")
    (due,) = world.due_subscribers()
    plan = [planned(reader, seen=due.next_due_at)]
    assert world.store.jobs.plan(fence=slept, sweep_seconds=1, plan=plan).stale
    assert world.value("select count(*) from story_jobs") == 0
    assert len(world.store.jobs.plan(fence=fence, sweep_seconds=1, plan=plan).job_ids) == 1


def test_the_call_of_a_leader_that_was_replaced_repairs_nothing_when_it_arrives(fallback: Deployment) -> None:
    world = fallback.world
    job = world.job()
    world.claimed(job)
    slept = world.lead("delivery")
    fallback.pass_time(seconds=61)
    fence = world.lead("delivery", "another")
    assert world.line.tick(fence=slept, max_size=100).repairs == {}
    assert world.state("story_jobs", job) == "running"
    assert world.line.tick(fence=fence, max_size=100).repairs == {"jobs_lapsed": 1}
    assert world.state("story_jobs", job) == "pending"


# ---- Row 15: a clock that is off -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", ["2", "-2"])
def test_a_process_whose_clock_is_two_hours_off_sends_nothing_early_and_nothing_twice(
    fallback: Deployment, hours: str
) -> None:
    off = {"PYTHONPATH": f"{CLOCK}:{fallback.python_path}", "CLOCK_IS_OFF_BY_HOURS": hours}
    now = datetime.now(UTC)
    early = fallback.world.deliveries(2, due_at=now + timedelta(hours=1))
    fallback.world.deliveries(3)
    with fallback.run("scheduler", **off), fallback.run("delivery", **off), fallback.run("delivery"):
        until(lambda: fallback.states()["sent"] == 3, "what is due")
        fallback.settle()
        until(lambda: _off(fallback, float(hours)) == 2, "the two whose clock is off to report themselves")
    fallback.assert_one_mail_each(3)
    assert {fallback.world.state("scheduled_deliveries", delivery) for delivery in early} == {"pending"}


def _off(deployment: Deployment, hours: float) -> int:
    """How many processes have a clock that is off by so much."""
    ahead = deployment.world.column("select extract(epoch from started_at - now()) / 3600 from heartbeats")
    return sum(abs(float(seen) - hours) < 0.5 for seen in ahead)


# ---- Row 16: odd days ------------------------------------------------------------------------------------------------

ODD_DAYS = [
    # zone, delivery time, first date, dates that exist among the five from it
    ("Europe/Berlin", "02:30", date(2027, 3, 26), 5),  # 2027-03-28 has no 02:30
    ("Europe/Berlin", "02:30", date(2027, 10, 29), 5),  # 2027-10-31 has two
    ("Australia/Lord_Howe", "02:15", date(2027, 10, 1), 5),  # half an hour is skipped on 2027-10-03
    ("Pacific/Apia", "08:00", date(2011, 12, 28), 4),  # 2011-12-30 does not exist there
]


@pytest.mark.parametrize(("zone", "at", "first", "existing"), ODD_DAYS)
def test_there_is_one_mail_for_each_date_that_exists(
    fallback: Deployment, zone: str, at: str, first: date, existing: int
) -> None:
    start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(hours=14)
    reader = _reader(zone, at, start)
    fallback.world.store.subscribers.add([reader])
    _plan(fallback, start, days=5.6)
    dates = fallback.world.column("select local_date from story_jobs order by local_date")
    dates = [day for day in dates if first <= day < first + timedelta(days=5)]
    assert len(dates) == len(set(dates)) == existing
    fallback.world.change(
        "delete from story_jobs where local_date < %s or local_date >= %s", first, first + timedelta(days=5)
    )
    _send_all_of_it(fallback, existing)


@pytest.mark.parametrize(
    ("to", "at"),
    [("Asia/Tokyo", "08:00"), ("Asia/Tokyo", "00:30"), ("America/Los_Angeles", "08:00")],
)
def test_who_moves_east_or_west_at_noon_has_one_mail_a_date_and_none_twice_in_half_a_day(
    fallback: Deployment, to: str, at: str
) -> None:
    noon = datetime(2027, 6, 15, 10, tzinfo=UTC)  # in Berlin
    reader = _reader("Europe/Berlin", "08:00", noon - timedelta(hours=12))
    fallback.world.store.subscribers.add([reader])
    _plan(fallback, noon - timedelta(hours=12), days=0.5)
    last, day = fallback.world.connection.execute(
        "select last_due_at, last_local_date from subscriber_schedule"
    ).fetchone() or (None, None)
    moved = first_due(timezone=to, delivery_time=at, now=noon, last_local_date=day, last_due_at=last)
    fallback.world.store.subscribers.change(
        reader.user_id, timezone=to, delivery_time=at, story_bible=None, due=moved
    )
    _plan(fallback, noon, days=3)
    dues = fallback.world.column("select due_at from story_jobs order by due_at")
    dates = fallback.world.column("select local_date from story_jobs order by local_date")
    assert len(dates) == len(set(dates)) >= 3
    assert min(b - a for a, b in pairwise(dues)) >= timedelta(hours=12)
    _send_all_of_it(fallback, len(dates))


def _reader(zone: str, at: str, now: datetime) -> NewSubscriber:
    return NewSubscriber(
        user_id=uuid7(),
        email="reader@example.com",
        timezone=zone,
        delivery_time=at,
        story_bible={},
        unsubscribe_token="token",
        due=first_due(timezone=zone, delivery_time=at, now=now),
    )


def _plan(deployment: Deployment, start: datetime, days: float) -> None:
    """What the scheduler plans when it looks every half hour for so many days from then."""
    scheduler = Scheduler(
        store=deployment.world.store,
        dispatcher=FallbackDispatcher(InlineDispatcher({}, threads=1)),
        lead=timedelta(minutes=30),
        sweep_seconds=1e9,
    )
    fence = deployment.world.lead("scheduler")
    for step in range(int(days * 48)):
        scheduler.tick(fence, start + step * timedelta(minutes=30))


def _send_all_of_it(deployment: Deployment, mails: int) -> None:
    """Those days are today: what was planned is due now; the dates stay as they are."""
    deployment.world.change("delete from scheduled_deliveries where state = 'missed'")
    deployment.world.change(
        "update story_jobs set due_at = now(), send_until = now() + interval '6 hours', state = 'pending',"
        " run_after = now(), ring_at = now(), error = null, finished_at = null"
    )
    deployment.world.change("update subscriber_schedule set active = false")
    deployment.world.change("update leases set expires_at = '-infinity'")
    with deployment.run("scheduler"), deployment.run("delivery"):
        until(lambda: len(deployment.mails()) == mails, "all mail")
        deployment.settle()
    assert set(deployment.mails().values()) == {1}


# ---- Row 17: everything down -----------------------------------------------------------------------------------------


def test_after_an_hour_without_anything_the_mail_is_late_and_comes_once(fallback: Deployment) -> None:
    fallback.add_readers(3)
    fallback.pass_time(hours=1)
    with fallback.run("scheduler"), fallback.run("delivery"):
        until(lambda: len(fallback.mails()) == 3, "late mail")
        fallback.settle()
    fallback.assert_one_mail_each(3)
    assert fallback.states() == {"sent": 3}


def test_after_26_hours_without_anything_one_date_is_missed_and_one_mail_comes(fallback: Deployment) -> None:
    fallback.add_readers(3)
    fallback.pass_time(hours=26)
    # The dates on which they were due are those of the time that has passed.
    fallback.world.change("update subscriber_schedule set next_local_date = next_local_date - 1")
    with fallback.run("scheduler"), fallback.run("delivery"):
        until(lambda: fallback.states() == {"sent": 3, "missed": 3}, "one missed and one sent for each")
        fallback.settle()
    assert set(fallback.mails().values()) == {1}
    assert len(fallback.mails()) == 3
    (reason,) = set(fallback.world.column("select reason from scheduled_deliveries where state = 'missed'"))
    assert reason == "nothing was running in time to write it"
