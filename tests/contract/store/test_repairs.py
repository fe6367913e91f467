"""Mending what slipped in while a constraint was away, and a story job as operators see it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.deliveries import SecondRow
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import TAKEN, World

WHO = {"by": "ada", "host": "here", "reason": "a test"}


class TestSecondDeliveries:
    def test_are_none_while_the_constraints_are_in_force(self, world: World) -> None:
        world.sent(2)
        assert (world.store.repairs.second_rows(), world.store.repairs.broken_constraints()) == ((), ())

    def test_the_one_that_was_sent_is_kept_before_the_older_one_that_was_not(self, world: World) -> None:
        (waiting,) = world.deliveries()
        world.change("update scheduled_deliveries set due_at = now() + interval '1 hour'")
        _, (sent,) = world.sent()
        owner = world.row("scheduled_deliveries", sent)["user_id"]
        world.change("drop index one_daily_delivery")
        try:
            world.change("update scheduled_deliveries set user_id = %s", owner)
            (second,) = world.store.repairs.second_rows()
            assert second == SecondRow(
                what="delivery", row_id=waiting, keeps=sent, state="pending", why="one date"
            )
            assert world.store.repairs.set_aside(second, **WHO) == "ok"
            assert world.store.repairs.set_aside(second, **WHO) == "gone"
            assert world.column("select id from scheduled_deliveries") == [sent]
        finally:
            assert world.store.repairs.restore_constraint("one_daily_delivery", **WHO) == "ok"
        assert world.store.repairs.restore_constraint("one_daily_delivery", **WHO) == "already"
        assert [row["action"] for row in world.audit()] == ["delivery set aside", "constraint restored"]

    def test_what_has_nothing_in_common_is_left_alone(self, world: World) -> None:
        first, other = world.deliveries(2)
        pair = SecondRow(what="delivery", row_id=first, keeps=other, state="pending", why="one date")
        assert world.store.repairs.set_aside(pair, **WHO) == "changed"
        assert len(world.column("select id from scheduled_deliveries")) == 2

    def test_a_name_that_is_no_constraint_of_ours_is_not_touched(self, world: World) -> None:
        assert world.store.repairs.restore_constraint("users_pkey", **WHO) == "gone"

    def test_one_that_was_missed_unwritten_stands_back_behind_a_younger_one_that_can_be_sent(
        self, world: World
    ) -> None:
        missed, written = world.deliveries(2)
        world.change("drop index one_daily_delivery")
        try:
            world.change(
                "update scheduled_deliveries set state = 'missed', story_id = null where id = %s", missed
            )
            owner = world.row("scheduled_deliveries", written)["user_id"]
            world.change("update scheduled_deliveries set user_id = %s", owner)
            (second,) = world.store.repairs.second_rows()
            assert (second.row_id, second.keeps) == (missed, written)
            assert world.store.repairs.set_aside(second, **WHO) == "ok"
        finally:
            assert world.store.repairs.restore_constraint("one_daily_delivery", **WHO) == "ok"


class TestSecondJobs:
    @pytest.fixture
    def two(self, world: World) -> Iterator[tuple[UUID, UUID]]:
        """Two jobs for one subscriber and date, the older one first, until the constraint is in force again."""
        world.change("drop index one_daily_job")
        older, younger = world.jobs(2)
        world.change("update story_jobs set user_id = %s", world.row("story_jobs", older)["user_id"])
        yield older, younger
        assert world.store.repairs.restore_constraint("one_daily_job", **WHO) == "ok"
        assert world.store.repairs.second_rows() == ()

    def test_the_one_with_a_delivery_is_kept_and_the_other_closed_for_good(
        self, world: World, two: tuple[UUID, UUID]
    ) -> None:
        waits, done = two
        world.complete(done, world.claimed(done))
        refused = world.store.repairs.restore_constraint("one_daily_job", **WHO)
        assert refused == "refused: rows stand against it: repair them first"
        (second,) = world.store.repairs.second_rows()
        assert second == SecondRow(what="job", row_id=waits, keeps=done, state="pending", why="one date")

        assert world.store.repairs.set_aside(second, **WHO) == "ok"
        assert world.store.repairs.set_aside(second, **WHO) == "changed"

        row = world.row("story_jobs", waits)
        assert (row["kind"], row["state"]) == ("extra", "cancelled")
        assert row["error"] == f"another job of its date is kept: {done}"
        assert world.claim(waits).verdict is Verdict.CANCELLED
        (seen,) = world.store.decisions.seen([waits])
        again = world.store.decisions.retry({waits: seen.seen}, **WHO)
        assert again == {waits: "refused: it is too late to send its story"}
        (record,) = world.audit("job set aside")
        assert record["result"]["job"]["state"] == "pending"
        assert record["result"]["keeps"] == str(done)
        assert world.column("select job_id from scheduled_deliveries") == [done]

    def test_a_written_story_is_kept_even_if_its_delivery_is_gone_and_none_is_ever_deleted(
        self, world: World, two: tuple[UUID, UUID]
    ) -> None:
        waits, written = two
        world.complete(written, world.claimed(written))
        world.change("delete from scheduled_deliveries")
        (second,) = world.store.repairs.second_rows()
        assert (second.row_id, second.keeps) == (waits, written)

        world.change(
            "insert into stories (id, job_id, user_id, local_date, title, body, writer) "
            "select gen_random_uuid(), %s, user_id, local_date, title, body, writer from stories",
            waits,
        )
        world.change("update story_jobs set state = 'completed'")
        (second,) = world.store.repairs.second_rows()
        assert (second.row_id, second.keeps) == (written, waits)
        assert world.store.repairs.set_aside(second, **WHO) == "ok"
        assert world.state("story_jobs", written) == "completed"
        assert len(world.column("select id from stories")) == 2

    def test_the_one_that_can_still_be_written_is_kept_before_one_that_has_failed(
        self, world: World, two: tuple[UUID, UUID]
    ) -> None:
        failed, waits = two
        world.store.jobs.fail(failed, token=world.claimed(failed), error="no hero", retry_seconds=None)
        assert world.column("select state from scheduled_deliveries") == ["missed"]
        (second,) = world.store.repairs.second_rows()
        assert (second.row_id, second.keeps, second.state) == (failed, waits, "failed")

        assert world.store.repairs.set_aside(second, **WHO) == "ok"
        assert world.complete(waits, world.claimed(waits))[0] in TAKEN
        assert world.column("select job_id from scheduled_deliveries where state = 'pending'") == [waits]

    def test_one_that_is_being_written_is_kept_or_waited_for(
        self, world: World, two: tuple[UUID, UUID]
    ) -> None:
        done, written = two
        world.claimed(written)
        (second,) = world.store.repairs.second_rows()
        assert (second.row_id, second.keeps) == (done, written)

        world.complete(done, world.claimed(done))
        (second,) = world.store.repairs.second_rows()
        assert (second.row_id, second.keeps, second.state) == (written, done, "running")
        assert world.store.repairs.set_aside(second, **WHO) == "refused: it is being written"
        world.lapse(written)
        assert world.store.repairs.set_aside(second, **WHO) == "ok"
        assert world.state("story_jobs", written) == "cancelled"

    def test_which_is_kept_is_decided_by_what_is_there_at_that_moment(
        self, world: World, two: tuple[UUID, UUID]
    ) -> None:
        older, younger = two
        (second,) = world.store.repairs.second_rows()
        assert (second.row_id, second.keeps) == (younger, older)

        world.complete(younger, world.claimed(younger))
        assert world.store.repairs.set_aside(second, **WHO) == "changed"
        (now_second,) = world.store.repairs.second_rows()
        assert world.store.repairs.set_aside(now_second, **WHO) == "ok"
        assert world.row("story_jobs", younger)["kind"] == "daily"

    def test_one_whose_row_is_gone_is_told_as_that(self, world: World, two: tuple[UUID, UUID]) -> None:
        (second,) = world.store.repairs.second_rows()
        world.change("delete from story_jobs where id = %s", second.row_id)
        assert world.store.repairs.set_aside(second, **WHO) == "gone"


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
