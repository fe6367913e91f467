"""Who is due, planning their stories, and ringing for the ones that wait."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from fixionmail.models.jobs import Planned, PlannedJob
from tests.contract.store.world import HOUR, TODAY, World, due, now, planned


def plan(world: World, jobs: list[PlannedJob], *, sweep: float = 60) -> Planned:
    return world.store.jobs.plan(fence=world.lead("scheduler"), sweep_seconds=sweep, plan=jobs)


def due_job(world: World, *, missed: str | None = None) -> PlannedJob:
    (user,) = world.subscribe()
    (seen,) = world.due_subscribers()
    return planned(user, seen=seen.next_due_at, missed=missed)


class TestWhoIsDue:
    def test_a_due_subscriber_comes_with_all_that_planning_needs(self, world: World) -> None:
        due_at = now().replace(microsecond=123456) - HOUR
        (user,) = world.subscribe(due_at=due_at)
        (due,) = world.due_subscribers()
        assert (due.user_id, due.timezone, due.delivery_time) == (user, "Europe/Lisbon", "08:00")
        assert (due.next_local_date, due.next_due_at, due.last_due_at) == (TODAY, due_at, None)

    def test_who_is_due_later_waits(self, world: World) -> None:
        (user,) = world.subscribe(due_at=now() + HOUR)
        assert world.due_subscribers() == []
        later = world.store.jobs.due_subscribers(until=now() + 2 * HOUR, limit=10)
        assert [due.user_id for due in later] == [user]

    def test_pages_follow_each_other_without_gap_or_repetition(self, world: World) -> None:
        same = now() - HOUR
        users = {*world.subscribe(5, due_at=same), *world.subscribe(2, due_at=same - HOUR)}
        seen: list[UUID] = []
        after = None
        while page := world.store.jobs.due_subscribers(until=now(), limit=2, after=after):
            seen += [due.user_id for due in page]
            after = page[-1]
        assert len(seen) == 7
        assert set(seen) == users

    def test_the_earliest_come_first(self, world: World) -> None:
        world.subscribe(due_at=now() - HOUR)
        (early,) = world.subscribe(due_at=now() - 3 * HOUR)
        assert world.due_subscribers()[0].user_id == early

    def test_a_paused_subscriber_is_not_due(self, world: World) -> None:
        (user,) = world.subscribe()
        world.store.subscribers.set_status(user, status="paused", reason=None, by="ana", host="h", due=None)
        assert world.due_subscribers() == []


class TestPlanning:
    def test_makes_the_job_and_moves_the_subscriber_on(self, world: World) -> None:
        job = due_job(world)
        result = plan(world, [job])
        assert (result.stale, result.job_ids, result.missed) == (False, (job.job_id,), 0)
        row = world.row("story_jobs", job.job_id)
        assert (row["state"], row["due_at"], row["send_until"]) == ("pending", job.due_at, job.send_until)
        assert world.due_subscribers() == []
        (moved,) = world.store.jobs.due_subscribers(until=now() + 48 * HOUR, limit=10)
        assert (moved.next_local_date, moved.next_due_at) == (job.next_local_date, job.next_due_at)
        assert moved.last_due_at == job.due_at

    def test_may_be_repeated_with_the_same_ids(self, world: World) -> None:
        job = due_job(world)
        assert plan(world, [job]) == plan(world, [job])
        assert world.value("select count(*) from story_jobs") == 1

    def test_a_subscriber_moved_by_somebody_else_is_left_alone(self, world: World) -> None:
        first = due_job(world)
        second = planned(first.user_id, seen=first.seen_due_at)
        plan(world, [first])
        assert plan(world, [second]).job_ids == ()
        assert world.column("select id from story_jobs") == [first.job_id]

    def test_a_subscriber_whose_time_was_changed_in_between_is_left_alone(self, world: World) -> None:
        job = due_job(world)
        later = due(due_at=now() + HOUR)
        world.store.subscribers.change(
            job.user_id, timezone=None, delivery_time="9:00", story_bible=None, due=later
        )
        assert plan(world, [job]).job_ids == ()
        (unmoved,) = world.store.jobs.due_subscribers(until=now() + 2 * HOUR, limit=10)
        assert (unmoved.next_local_date, unmoved.next_due_at) == (later.local_date, later.due_at)

    def test_a_subscriber_paused_in_between_is_left_alone(self, world: World) -> None:
        job = due_job(world)
        world.store.subscribers.set_status(
            job.user_id, status="paused", reason=None, by="a", host="h", due=None
        )
        assert plan(world, [job]).job_ids == ()
        assert world.column("select id from story_jobs") == []

    def test_one_daily_job_for_each_date_whatever_is_asked_for(self, world: World) -> None:
        first = due_job(world)
        plan(world, [first])
        world.change("update subscriber_schedule set next_due_at = %s", first.seen_due_at)
        assert plan(world, [planned(first.user_id, seen=first.seen_due_at)]).job_ids == ()
        assert world.column("select id from story_jobs") == [first.job_id]

    def test_several_dates_of_one_subscriber_are_caught_up_with(self, world: World) -> None:
        (user,) = world.subscribe()
        (seen,) = world.due_subscribers()
        days = [
            planned(user, seen=seen.next_due_at, due_at=seen.next_due_at + day * 24 * HOUR,
                    local_date=TODAY + timedelta(days=day))
            for day in range(3)
        ]  # fmt: skip
        assert plan(world, days).job_ids == tuple(day.job_id for day in days)
        (moved,) = world.store.jobs.due_subscribers(until=days[-1].next_due_at, limit=10)
        assert moved.next_local_date == TODAY + timedelta(days=3)

    def test_what_is_too_late_is_on_record_as_missed(self, world: World) -> None:
        job = due_job(world, missed="nothing was running")
        result = plan(world, [job])
        assert (result.job_ids, result.missed) == ((), 1)
        assert world.state("story_jobs", job.job_id) == "cancelled"
        (delivery,) = world.column("select id from scheduled_deliveries")
        row = world.row("scheduled_deliveries", delivery)
        assert (row["state"], row["reason"], row["job_id"]) == ("missed", "nothing was running", job.job_id)

    def test_what_was_missed_is_recorded_once(self, world: World) -> None:
        job = due_job(world, missed="nothing was running")
        plan(world, [job])
        plan(world, [job])
        assert world.value("select count(*) from scheduled_deliveries") == 1

    def test_nothing_to_plan_is_fine(self, world: World) -> None:
        assert plan(world, []) == Planned(stale=False, job_ids=(), missed=0)


class TestRinging:
    def ring(self, world: World, *, sweep: float = 60, limit: int = 100) -> tuple[UUID, ...]:
        return world.store.jobs.ring(fence=world.lead("scheduler"), sweep_seconds=sweep, limit=limit)

    def overdue(self, world: World) -> None:
        world.change("update story_jobs set ring_at = clock_timestamp() - interval '1 second'")

    def test_a_job_just_planned_is_not_rung_for_again_yet(self, world: World) -> None:
        world.job()
        assert self.ring(world) == ()

    def test_a_job_nobody_took_is_rung_for_again_once_each_sweep(self, world: World) -> None:
        job = world.job()
        self.overdue(world)
        assert self.ring(world) == (job,)
        assert self.ring(world) == ()

    def test_a_claimed_job_is_not_rung_for(self, world: World) -> None:
        world.claimed(world.job())
        self.overdue(world)
        assert self.ring(world) == ()

    def test_a_job_to_be_tried_again_is_rung_for_when_its_pause_is_over(self, world: World) -> None:
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="no", retry_seconds=3600)
        assert self.ring(world) == ()
        self.overdue(world)
        assert self.ring(world) == (job,)

    def test_no_more_than_asked_for_at_once(self, world: World) -> None:
        jobs = world.jobs(5)
        self.overdue(world)
        assert len(first := self.ring(world, limit=3)) == 3
        assert {*first, *self.ring(world, limit=3)} == set(jobs)
