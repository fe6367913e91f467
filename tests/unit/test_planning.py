"""What the scheduler makes of one subscriber who is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from fixionmail.loops.scheduler import plan_subscriber
from fixionmail.models.jobs import DueSubscriber, PlannedJob

LEAD = timedelta(minutes=30)


def subscriber(
    *,
    timezone: str = "UTC",
    delivery_time: str = "08:00",
    day: date,
    due_at: datetime,
    last: datetime | None = None,
) -> DueSubscriber:
    return DueSubscriber(
        user_id=uuid4(),
        timezone=timezone,
        delivery_time=delivery_time,
        next_local_date=day,
        next_due_at=due_at,
        last_due_at=last,
    )


def plan(someone: DueSubscriber, now: datetime) -> list[PlannedJob]:
    return plan_subscriber(someone, now, now + LEAD)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_a_subscriber_who_is_due_gets_one_job_and_moves_on_to_tomorrow() -> None:
    (job,) = plan(subscriber(day=date(2026, 3, 2), due_at=at(2, 8)), now=at(2, 7, 45))

    assert (job.local_date, job.due_at, job.missed) == (date(2026, 3, 2), at(2, 8), None)
    assert (job.next_local_date, job.next_due_at) == (date(2026, 3, 3), at(3, 8))


def test_after_an_outage_of_a_day_yesterday_is_missed_and_today_is_planned() -> None:
    jobs = plan(subscriber(day=date(2026, 3, 2), due_at=at(2, 8)), now=at(3, 10))

    assert [(job.local_date.day, job.missed is not None) for job in jobs] == [(2, True), (3, False)]
    assert jobs[-1].next_due_at == at(4, 8)


def test_a_late_story_is_still_planned_until_local_midnight() -> None:
    (job,) = plan(subscriber(day=date(2026, 3, 2), due_at=at(2, 8)), now=at(2, 23, 29))

    assert job.missed is None


def test_a_story_due_late_in_the_evening_may_be_sent_for_six_hours() -> None:
    someone = subscriber(delivery_time="22:00", day=date(2026, 3, 2), due_at=at(2, 22))

    assert plan(someone, now=at(3, 3, 59))[0].missed is None
    assert plan(someone, now=at(3, 4, 1))[0].missed is not None


def test_moving_east_at_noon_puts_the_next_story_twelve_hours_after_the_last() -> None:
    # Los Angeles, 08:00 on the 2nd, is 16:00 UTC; then to Tokyo, where 08:00 on the 3rd is 23:00 UTC on the 2nd.
    someone = subscriber(timezone="Asia/Tokyo", day=date(2026, 3, 3), due_at=at(3, 4), last=at(2, 16))

    (job,) = plan(someone, now=at(3, 3, 45))

    assert (job.local_date, job.due_at) == (date(2026, 3, 3), at(3, 4))


def test_a_subscriber_whose_zone_rules_changed_is_planned_once_and_not_read_for_ever() -> None:
    # The stored instant says now, the zone's rules say in three hours: planned early, sent when it is really due.
    (job,) = plan(subscriber(day=date(2026, 3, 2), due_at=at(2, 5)), now=at(2, 4, 45))

    assert job.due_at == at(2, 8)
    assert job.next_due_at == at(3, 8)
