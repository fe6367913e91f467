"""The database at one look, for those who operate it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fixionmail.models.mail import Outcome
from fixionmail.models.operations import OperationsRow
from fixionmail.ops.database_look import look
from tests.contract.store.world import HOUR, TODAY, World, new_subscriber, now

LEAD = timedelta(minutes=30)


def seen(world: World) -> OperationsRow:
    return world.store.operations.snapshot(TODAY, lead=LEAD)


def details(row: OperationsRow, kind: str) -> list[tuple[str, str]]:
    return [(witness.subject, witness.detail) for witness in row.witnesses.get(kind, ())]


class TestAnEmptyDatabase:
    def test_has_nothing_to_show(self, world: World) -> None:
        row = seen(world)
        assert (row.due, row.sending, row.uncertain, row.unplanned, row.jobs_waiting, row.jobs_lapsed) == (
            0,
        ) * 6
        assert (row.oldest_due_at, row.next_due_at, row.next_plan_at, row.oldest_job_at) == (None,) * 4
        assert (row.witnesses, row.duplicates, row.leaders, row.lines, row.users, row.zones) == (
            {},
            (),
            (),
            (),
            {},
            {},
        )

    def test_tells_of_its_server(self, world: World) -> None:
        row = seen(world)
        assert int(row.version.split(".")[0]) >= 15
        assert 0 < row.connections <= row.max_connections
        assert row.size_bytes > 0
        assert abs((row.now - now()).total_seconds()) < 5

    def test_lacks_no_migration(self, world: World) -> None:
        assert look(world.store, now()).database.missing_migrations == ()

    def test_one_whose_record_is_gone_lacks_it(self, world: World) -> None:
        world.change("update fixionmail_migrations set version = -version where version = 7")
        try:
            assert look(world.store, now()).database.missing_migrations == ("007_add_job_locking",)
        finally:
            world.change("update fixionmail_migrations set version = -version where version = -7")


class TestCounts:
    def test_of_a_busy_deployment(self, world: World) -> None:
        world.sending(2)
        oldest, later = now() - 2 * HOUR, now() + HOUR
        world.deliveries(due_at=oldest)
        world.deliveries(due_at=later)
        world.jobs(3)
        world.claimed(world.job())
        row = seen(world)
        assert row.jobs == {"completed": 4, "pending": 3, "running": 1}
        assert (row.due, row.sending, row.jobs_waiting, row.jobs_running, row.jobs_lapsed) == (1, 2, 3, 1, 0)
        assert (row.oldest_due_at, row.next_due_at) == (oldest, later)
        assert row.batches == {"sending": 1}
        assert [(line.name, line.paused_until, line.paused_reason) for line in row.lines] == [
            ("resend", None, "")
        ]

    def test_are_those_of_the_subscribers_own_date(self, world: World) -> None:
        world.jobs(2)
        assert world.store.operations.snapshot(TODAY + timedelta(days=1)).jobs == {}

    def test_stay_as_they_are_when_they_are_added_up(self, world: World) -> None:
        world.sent(3)
        before = seen(world)
        world.tick()
        assert world.value("select count(*) from counter_delta") == 0
        after = seen(world)
        assert (after.jobs, after.deliveries) == (before.jobs, before.deliveries)

    @pytest.mark.parametrize("due", [1999, 2000, 2500])
    def test_of_what_is_due_are_exact_beyond_what_is_counted_row_by_row(
        self, direct_world: World, due: int
    ) -> None:
        (delivery,) = direct_world.deliveries(due_at=now() + HOUR)
        direct_world.change("alter table scheduled_deliveries drop constraint unique_story_delivery")
        try:
            direct_world.change(
                "insert into scheduled_deliveries"
                " (id, job_id, story_id, user_id, kind, local_date, due_at, send_until, state)"
                " select gen_random_uuid(), job_id, story_id, user_id, 'extra', local_date, now() - interval '1 hour',"
                " send_until, 'pending' from scheduled_deliveries, generate_series(1, %s) where id = %s",
                due,
                delivery,
            )
            assert seen(direct_world).due == due
        finally:
            direct_world.change("delete from scheduled_deliveries")
            direct_world.change(
                "alter table scheduled_deliveries add constraint unique_story_delivery unique (story_id)"
            )

    def test_a_subscriber_is_unplanned_from_the_lead_before_the_delivery_on(self, world: World) -> None:
        soon, far = now() + LEAD / 2, now() + 2 * LEAD
        world.subscribe(2, due_at=soon)
        world.subscribe(due_at=far)
        row = seen(world)
        assert (row.unplanned, row.next_plan_at) == (2, soon - LEAD)
        assert look(world.store, now(), lead=LEAD).deliveries.next_story_at == soon

    def test_a_job_between_two_attempts_rests(self, world: World) -> None:
        world.jobs(2)
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="overloaded", retry_seconds=600)
        row = seen(world)
        assert (row.jobs_waiting, row.jobs_resting) == (3, 1)

    def test_subscribers_are_counted_by_status_and_zone_through_every_change(self, world: World) -> None:
        first, second = world.subscribe(2)
        assert seen(world).users == {"active": 2}
        assert seen(world).zones == {"Europe/Lisbon": 2}
        world.change("update users set status = 'paused', timezone = 'Asia/Tokyo' where id = %s", first)
        world.change("update users set credits = 7")
        world.tick()
        assert seen(world).users == {"active": 1, "paused": 1}
        assert seen(world).zones == {"Europe/Lisbon": 1, "Asia/Tokyo": 1}
        world.change("delete from subscriber_schedule")
        world.change("delete from users where id = %s", second)
        assert (seen(world).users, seen(world).zones) == ({"paused": 1}, {"Asia/Tokyo": 1})


class TestWitnesses:
    def test_name_the_address_that_was_rejected_and_why(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        world.change("update scheduled_deliveries set local_date = current_date")
        delivery = world.row("scheduled_deliveries", member)
        row = world.store.operations.snapshot(now().date(), lead=LEAD)
        assert details(row, "rejected") == [(str(delivery["user_id"]), f"{delivery['address']}: bad address")]

    def test_name_a_rejected_address_until_its_subscriber_is_suppressed(self, world: World) -> None:
        _, _, members = world.sending(2)
        for member in members:
            world.change("update scheduled_deliveries set state = 'rejected' where id = %s", member)
        readers = [str(world.row("scheduled_deliveries", member)["user_id"]) for member in members]
        rejected = world.store.operations.rejected_subscribers
        assert {witness.subject for witness in rejected(TODAY)} == set(readers)
        world.change("update users set status = 'suppressed' where id = %s", readers[0])
        assert [witness.subject for witness in rejected(TODAY)] == readers[1:]
        assert rejected(TODAY + timedelta(days=2)) == ()

    def test_name_what_stays_in_a_batch_without_a_definite_answer(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        assert details(seen(world), "stuck") == []
        world.settle(batch, token, Outcome.AMBIGUOUS, error="no answer")
        ((subject, detail),) = details(seen(world), "stuck")
        assert subject == str(member)
        assert detail.endswith(f"batch {batch} is ambiguous after 1 attempts, no answer")

    def test_name_what_a_dead_sender_holds(self, world: World) -> None:
        batch, _, (member,) = world.sending()
        world.lapse(batch)
        assert [subject for subject, _ in details(seen(world), "stuck")] == [str(member)]

    def test_name_the_job_of_a_worker_that_is_gone(self, world: World) -> None:
        job = world.job()
        world.claimed(job, "gone@host:1")
        world.lapse(job)
        row = seen(world)
        assert row.jobs_lapsed == 1
        assert details(row, "lapsed") == [(str(job), "gone@host:1 held it, attempt 1, step claimed")]

    def test_name_a_job_that_fails_again_and_again_and_its_error(self, world: World) -> None:
        world.jobs(2)
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="the model refuses", retry_seconds=600)
        assert details(seen(world), "failing") == [("the model refuses", "1")]
        assert details(seen(world), "poison") == []
        world.change("update story_jobs set attempt = 3 where id = %s", job)
        assert details(seen(world), "poison") == [(str(job), "3 of 8 attempts: the model refuses")]

    def test_count_the_days_errors(self, world: World) -> None:
        for error in ("refused", "overloaded", "overloaded"):
            job = world.job()
            world.store.jobs.fail(job, token=world.claimed(job), error=error, retry_seconds=None)
        assert sorted(details(seen(world), "failing")) == [("overloaded", "2"), ("refused", "1")]

    def test_name_a_job_without_a_subscriber(self, world: World) -> None:
        job = world.job()
        user = world.row("story_jobs", job)["user_id"]
        world.change("set session_replication_role = replica")
        world.change("delete from users")
        world.change("set session_replication_role = origin")
        assert details(seen(world), "orphan") == [(str(job), f"its subscriber {user} is not there")]

    def test_name_subscribers_whose_time_cannot_be_read(self, world: World) -> None:
        first, second, _ = world.subscribe(3)
        world.change("update users set delivery_time = '25:00' where id = %s", first)
        world.change("update users set delivery_time = ' 8:05:59 ' where id = %s", second)
        assert details(seen(world), "time") == [(str(first), f"{first}@example.com: 25:00")]

    def test_are_few(self, world: World) -> None:
        world.subscribe(9)
        world.change("update users set delivery_time = 'noon'")
        assert len(details(seen(world), "time")) == 5


class TestTheLook:
    def test_names_subscribers_whose_zone_nobody_knows(self, world: World) -> None:
        world.subscribe(2)
        stranger = new_subscriber(timezone="Mars/Phobos")
        world.store.subscribers.add([stranger])
        deliveries = look(world.store, now()).deliveries
        assert deliveries.unknown_zones == (f"{stranger.email}: Mars/Phobos",)
        assert [witness.subject for witness in deliveries.witnesses["zone"]] == [str(stranger.user_id)]

    def test_shows_the_funnel_of_the_day(self, world: World) -> None:
        world.sent(2)
        world.jobs(3)
        world.change("update scheduled_deliveries set state = 'delivered' where id = (select min(id::text)::uuid"
                     " from scheduled_deliveries)")  # fmt: skip
        for table in ("story_jobs", "scheduled_deliveries"):
            world.change(f"update {table} set local_date = %s", now().date())
        funnel = look(world.store, now()).funnel
        assert (funnel.due, funnel.written, funnel.waiting_to_write) == (5, 2, 3)
        assert (funnel.sent, funnel.delivered, funnel.failed) == (2, 1, 0)

    def test_tells_who_leads_and_who_stands_by(self, world: World) -> None:
        for name in ("a", "b", "gone"):
            self.beat(world, name, "scheduler")
        world.change("update heartbeats set seen_at = seen_at - interval '5 minutes' where process = 'gone'")
        info = {"mode": "fallback", "mode_since": now().isoformat(), "counts": {"planned": 3}, "error": "no answer",
                "last_tick_at": now().isoformat()}  # fmt: skip
        world.store.leases.acquire(name="scheduler", holder="b", ttl_seconds=30, info=info)
        found = look(world.store, now())
        scheduler, delivery = found.loops
        assert scheduler.leader is not None
        assert (scheduler.leader.process, [copy.process for copy in scheduler.standby]) == ("b", ["a"])
        assert (scheduler.counts, scheduler.problem, scheduler.held) == (
            {"planned": 3},
            "tick failed: no answer",
            True,
        )
        assert (delivery.leader, delivery.standby, delivery.held) == (None, (), False)
        assert found.mode.mode == "fallback"
        assert len(found.processes) == 3

    def test_a_lease_that_lapsed_or_was_released_is_not_held(self, world: World) -> None:
        fence = world.lead("scheduler")
        world.lead("delivery")
        world.store.leases.release(name="scheduler", holder="leader", fence=fence)
        world.change("update leases set expires_at = clock_timestamp() where name = 'delivery'")
        leaders = seen(world).leaders
        assert [(leader.name, leader.holder, leader.held) for leader in leaders] == [
            ("delivery", "leader", False),
            ("scheduler", "", False),
        ]

    def test_nobody_leads_when_the_lease_has_lapsed(self, world: World) -> None:
        world.lead("scheduler")
        world.change("update leases set expires_at = clock_timestamp()")
        seen = look(world.store, now())
        assert (seen.loops[0].leader, seen.mode.mode) == (None, "unknown")

    def test_what_a_process_says_of_itself_may_be_anything(self, world: World) -> None:
        info: dict[str, Any] = {"mode": 5, "mode_since": "yesterday", "counts": {"a": "b"}, "last_tick_at": 9}
        world.store.leases.acquire(name="delivery", holder="<b>", ttl_seconds=30, info=info)
        seen = look(world.store, now())
        assert (seen.mode.mode, seen.mode.since, seen.loops[1].last_tick_at) == ("5", None, None)

    def beat(self, world: World, process: str, kind: str) -> None:
        world.store.leases.heartbeat(
            process=process, kind=kind, host="h", pid=1, version="1", started_at=now(), info={}
        )
