"""Mending what slipped in while a constraint was away, and a story job as operators see it."""

from __future__ import annotations

from uuid_utils.compat import uuid7

from fixionmail.models.deliveries import SecondDelivery
from tests.contract.store.world import World

WHO = {"by": "ada", "host": "here", "reason": "a test"}


class TestSecondDeliveries:
    def test_are_none_while_the_constraints_are_in_force(self, world: World) -> None:
        world.sent(2)
        assert (world.store.repairs.second_deliveries(), world.store.repairs.broken_constraints()) == ((), ())

    def test_the_one_that_was_sent_is_kept_before_the_older_one_that_was_not(self, world: World) -> None:
        (waiting,) = world.deliveries()
        world.change("update scheduled_deliveries set due_at = now() + interval '1 hour'")
        _, (sent,) = world.sent()
        owner = world.row("scheduled_deliveries", sent)["user_id"]
        world.change("drop index one_daily_delivery")
        try:
            world.change("update scheduled_deliveries set user_id = %s", owner)
            (second,) = world.store.repairs.second_deliveries()
            assert second == SecondDelivery(delivery_id=waiting, keeps=sent, state="pending", why="one date")
            assert world.store.repairs.set_aside(second, **WHO) == "ok"
            assert world.store.repairs.set_aside(second, **WHO) == "gone"
            assert world.column("select id from scheduled_deliveries") == [sent]
        finally:
            assert world.store.repairs.restore_constraint("one_daily_delivery", **WHO) == "ok"
        assert world.store.repairs.restore_constraint("one_daily_delivery", **WHO) == "already"
        assert [row["action"] for row in world.audit()] == ["delivery set aside", "constraint restored"]

    def test_what_has_nothing_in_common_is_left_alone(self, world: World) -> None:
        first, other = world.deliveries(2)
        pair = SecondDelivery(delivery_id=first, keeps=other, state="pending", why="one date")
        assert world.store.repairs.set_aside(pair, **WHO) == "changed"
        assert len(world.column("select id from scheduled_deliveries")) == 2

    def test_a_name_that_is_no_constraint_of_ours_is_not_touched(self, world: World) -> None:
        assert world.store.repairs.restore_constraint("users_pkey", **WHO) == "gone"


class TestStrayRows:
    def test_are_none_while_all_is_well(self, world: World) -> None:
        world.jobs(2)
        assert world.store.repairs.stray_rows() == ()

    def test_the_newer_subscriber_of_an_address_is_removed_with_what_waits_for_it(self, world: World) -> None:
        old, new = world.jobs(2)
        users = {job: world.row("story_jobs", job)["user_id"] for job in (old, new)}
        world.change("drop index users_email_key")
        try:
            world.change("update users set email = 'ada@example.com'")
            world.change("update users set created_at = now() - interval '1 day' where id = %s", users[old])
            (stray,) = world.store.repairs.stray_rows()
            assert (stray.what, stray.row_id) == ("subscriber", users[new])
            assert world.store.repairs.mend_stray(stray, **WHO) == "ok"
            assert world.store.repairs.mend_stray(stray, **WHO) == "changed"
        finally:
            assert world.store.repairs.restore_constraint("users_email_key", **WHO) == "ok"
        assert world.row("users", users[new])["status"] == "removed"
        assert [world.state("story_jobs", job) for job in (old, new)] == ["pending", "cancelled"]

    def test_a_job_without_a_subscriber_is_cancelled(self, world: World) -> None:
        job = world.job()
        world.change("set session_replication_role = replica")
        world.change("delete from users")
        world.change("set session_replication_role = origin")
        (stray,) = world.store.repairs.stray_rows()
        assert (stray.what, stray.row_id) == ("job", job)
        assert world.store.repairs.mend_stray(stray, **WHO) == "ok"
        assert world.state("story_jobs", job) == "cancelled"
        assert world.store.repairs.mend_stray(stray, **WHO) == "changed"


class TestAStoryJob:
    def test_tells_all_that_decides_whether_it_can_run(self, world: World) -> None:
        job = world.job()
        row = world.store.operations.story_job(job)
        assert row is not None
        assert (row.state, row.attempt, row.subscriber, row.rests, row.lapsed) == (
            "pending",
            0,
            "active",
            False,
            False,
        )
        world.claimed(job, "w")
        world.lapse(job)
        row = world.store.operations.story_job(job)
        assert row is not None
        assert (row.state, row.holder, row.lapsed, row.step) == ("running", "w", True, "claimed")

    def test_names_its_delivery(self, world: World) -> None:
        (delivery,) = world.deliveries()
        row = world.store.operations.story_job(world.row("scheduled_deliveries", delivery)["job_id"])
        assert row is not None
        assert (row.delivery_id, row.delivery_state) == (str(delivery), "pending")

    def test_is_none_when_there_is_none(self, world: World) -> None:
        assert world.store.operations.story_job(uuid7()) is None
