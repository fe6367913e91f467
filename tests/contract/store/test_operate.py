"""What operators do by hand: ringing for jobs that wait, and opening a mail line that stands still."""

from __future__ import annotations

from datetime import timedelta

from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import World, now

WHO = {"by": "ada", "host": "here", "reason": "the key is renewed"}


class TestWaitingJobs:
    def test_are_those_that_may_be_claimed_now(self, world: World) -> None:
        free, running, resting = world.jobs(3)
        world.claimed(running)
        world.change("update story_jobs set run_after = now() + interval '1 hour' where id = %s", resting)
        assert world.store.operations.waiting_jobs() == (free,)

    def test_come_in_the_order_in_which_they_are_to_be_rung_for(self, world: World) -> None:
        first, second, third = world.jobs(3)
        for job, minutes in ((second, 30), (third, 20), (first, 10)):
            world.change(
                "update story_jobs set ring_at = %s where id = %s", now() - timedelta(minutes=minutes), job
            )
        assert world.store.operations.waiting_jobs() == (second, third, first)
        assert world.store.operations.waiting_jobs(limit=2) == (second, third)

    def test_are_none_when_nothing_waits(self, world: World) -> None:
        assert world.store.operations.waiting_jobs() == ()


class TestOpeningALine:
    def test_lets_it_go_on_at_once_and_is_on_record(self, world: World) -> None:
        self.stopped(world)
        assert world.store.operations.open_line("resend", **WHO) == "ok"
        assert world.value("select paused_until < now() and paused_reason is null from send_lines")
        (row,) = world.audit("open line")
        assert (row["actor"], row["host"], row["target"], row["reason"], row["result"]) == (
            "ada",
            "here",
            "resend",
            "the key is renewed",
            {"was": "the key is refused"},
        )

    def test_lets_what_stood_still_with_it_leave_at_once(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.QUOTA, error="the quota is used up", wait_seconds=3600)
        assert world.line.outlook(max_size=100).ready == 0
        assert world.store.operations.open_line("resend", **WHO) == "ok"
        assert world.line.outlook(max_size=100).ready == 1
        assert world.begin(batch).verdict is Verdict.GO

    def test_leaves_a_mail_alone_of_which_there_was_no_answer(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS, error="no answer", wait_seconds=600)
        world.change(
            "update send_lines set paused_until = now() + interval '1 hour', paused_reason = 'the key is refused'"
        )
        assert world.store.operations.open_line("resend", **WHO) == "ok"
        assert world.value("select next_attempt_at > now() + interval '5 minutes' from mail_batches")

    def test_to_a_provider_of_stories_lets_those_be_written_at_once_that_were_handed_back(
        self, world: World
    ) -> None:
        back, failed = world.jobs(2)
        jobs = world.store.jobs
        jobs.postpone(back, token=world.claimed(back), wait_seconds=300, reason="the key is refused")
        jobs.fail(failed, token=world.claimed(failed), error="no", retry_seconds=300)
        world.change(
            "insert into send_lines (name, rate, next_slot_at, paused_until, paused_reason) values"
            " ('stories/anthropic', 1, now() + interval '1 hour', now() + interval '1 hour', 'the key is refused')"
        )
        assert world.store.operations.open_line("stories/anthropic", **WHO) == "ok"
        assert world.value(
            "select next_slot_at <= clock_timestamp() from send_lines where name = 'stories/anthropic'"
        )
        assert world.store.operations.waiting_jobs() == (back,)
        assert world.claim(failed).verdict is Verdict.LATER
        assert world.store.operations.open_line("stories/anthropic", **WHO) == "already"

    def test_that_is_open_changes_nothing(self, world: World) -> None:
        self.stopped(world)
        world.store.operations.open_line("resend", **WHO)
        assert world.store.operations.open_line("resend", **WHO) == "already"
        assert len(world.audit("open line")) == 1

    def test_that_does_not_exist_is_told(self, world: World) -> None:
        assert world.store.operations.open_line("postman'; drop table users --", **WHO) == "gone"
        assert world.audit() == []

    def stopped(self, world: World) -> None:
        world.deliveries()
        world.line.outlook(max_size=1)
        world.change(
            "update send_lines set paused_until = now() + interval '1 hour', paused_reason = 'the key is refused'"
        )
        assert world.value("select count(*) from send_lines") == 1
