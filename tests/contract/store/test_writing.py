"""What a worker does with a story job: claim, extend, complete, fail, hand back."""

from __future__ import annotations

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.errors import DatabaseError
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import STORY, TODAY, World, now


def withdraw(world: World, user: UUID, status: str) -> None:
    """Change the status alone, as when the job is claimed at the same moment."""
    world.change("update users set status = %s where id = %s", status, user)


def user_of(world: World, job: UUID) -> UUID:
    user: UUID = world.row("story_jobs", job)["user_id"]
    return user


class TestClaiming:
    def test_brings_the_token_the_attempt_and_the_brief(self, world: World) -> None:
        job = world.job()
        claim = world.claim(job)
        assert (claim.verdict, claim.token, claim.attempt) == (Verdict.GO, 1, 1)
        assert claim.brief is not None
        assert (claim.brief.job_id, claim.brief.user_id) == (job, user_of(world, job))
        assert (claim.brief.local_date, claim.brief.past_titles) == (TODAY, ())
        assert (claim.brief.genre, claim.brief.setting, claim.brief.character) == (
            "mystery",
            "a lighthouse",
            "Ada",
        )

    def test_the_brief_names_the_titles_told_before_newest_first(self, world: World) -> None:
        job = world.job()
        user = user_of(world, job)
        for number in range(3):
            old = uuid7()
            world.change(
                "insert into story_jobs (id, user_id, kind, local_date, due_at, send_until, state, run_after, ring_at)"
                " values (%s, %s, 'extra', %s, now(), now(), 'completed', now(), now())",
                old, user, TODAY,
            )  # fmt: skip
            world.change(
                "insert into stories (id, job_id, user_id, local_date, title, body, writer)"
                " values (%s, %s, %s, %s, %s, 'b', 'w')",
                uuid7(), old, user, TODAY, f"title {number}",
            )  # fmt: skip
        brief = world.claim(job).brief
        assert brief is not None
        assert brief.past_titles == ("title 2", "title 1", "title 0")

    def test_twice_by_one_holder_is_one_claim(self, world: World) -> None:
        job = world.job()
        first, again = world.claim(job), world.claim(job)
        assert (again.verdict, again.token, again.attempt) == (Verdict.GO, first.token, first.attempt)

    def test_a_job_in_other_hands_is_busy(self, world: World) -> None:
        job = world.job()
        world.claimed(job, "a")
        assert world.claim(job, "b").verdict is Verdict.BUSY

    def test_a_job_whose_pause_is_not_over_is_for_later(self, world: World) -> None:
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="no", retry_seconds=100)
        assert world.claim(job).verdict is Verdict.LATER

    def test_a_job_whose_pause_is_over_is_a_new_attempt_with_a_new_token(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        world.store.jobs.fail(job, token=token, error="no", retry_seconds=0)
        claim = world.claim(job)
        assert (claim.verdict, claim.attempt) == (Verdict.GO, 2)
        assert claim.token > token

    def test_a_completed_job_is_done(self, world: World) -> None:
        job = world.job()
        world.complete(job, world.claimed(job))
        assert world.claim(job).verdict is Verdict.DONE

    def test_a_failed_job_has_failed(self, world: World) -> None:
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="no", retry_seconds=None)
        assert world.claim(job).verdict is Verdict.FAILED

    def test_a_cancelled_job_is_cancelled(self, world: World) -> None:
        job = world.job()
        world.change("update story_jobs set state = 'cancelled'")
        assert world.claim(job).verdict is Verdict.CANCELLED

    def test_an_unknown_job_is_gone(self, world: World) -> None:
        assert world.claim(uuid7()).verdict is Verdict.GONE

    def test_a_job_that_is_too_late_is_missed_and_left_to_the_reconciler(self, world: World) -> None:
        job = world.job()
        world.change("update story_jobs set send_until = clock_timestamp() - interval '1 second'")
        assert world.claim(job).verdict is Verdict.MISSED
        assert world.state("story_jobs", job) == "pending"

    def test_a_lapsed_lease_passes_to_the_next_with_a_new_token(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job, "a")
        world.lapse(job)
        claim = world.claim(job, "b")
        assert (claim.verdict, claim.attempt) == (Verdict.GO, 2)
        assert claim.token > token

    def test_a_job_that_killed_every_worker_has_failed_and_its_mail_is_missed(self, world: World) -> None:
        job = world.job()
        world.change("update story_jobs set max_attempts = 1")
        world.claimed(job, "a")
        world.lapse(job)
        assert world.claim(job, "b").verdict is Verdict.FAILED
        assert world.state("story_jobs", job) == "failed"
        assert world.column("select state from scheduled_deliveries where job_id = %s", job) == ["missed"]

    @pytest.mark.parametrize("status", ["paused", "unsubscribed", "suppressed", "removed"])
    def test_nothing_is_written_for_who_gets_no_mail(self, world: World, status: str) -> None:
        job = world.job()
        withdraw(world, user_of(world, job), status)
        assert world.claim(job).verdict is Verdict.CANCELLED
        row = world.row("story_jobs", job)
        assert (row["state"], row["error"]) == ("cancelled", f"the subscriber is {status}")

    def test_nothing_is_written_for_who_has_no_credits(self, world: World) -> None:
        job = world.job()
        assert world.claim(job, charge=1).verdict is Verdict.CANCELLED
        assert world.row("story_jobs", job)["error"] == "the subscriber has no credits left"

    def test_without_a_charge_nobody_needs_credits(self, world: World) -> None:
        assert world.claim(world.job(), charge=0).verdict is Verdict.GO


class TestExtending:
    def stale(self, world: World, *claims: tuple[UUID, int]) -> frozenset[UUID]:
        """Those of the claims that could not be kept."""
        told = [(job, token, "drafting", 40) for job, token in claims]
        return world.store.jobs.extend_all(told, lease_seconds=600)

    def test_keeps_the_claims_and_reports_progress(self, world: World) -> None:
        claims = [(job, world.claimed(job)) for job in world.jobs(2)]
        assert self.stale(world, *claims) == frozenset()
        for job, _ in claims:
            row = world.row("story_jobs", job)
            assert (row["step"], row["percent"]) == ("drafting", 40)
            assert (row["lease_expires_at"] - now()).total_seconds() > 500

    @pytest.mark.parametrize("spoil", ["token", "lapsed", "completed", "gone"])
    def test_what_is_no_longer_ours_is_stale(self, world: World, spoil: str) -> None:
        job = world.job()
        token = world.claimed(job)
        match spoil:
            case "token":
                token += 1
            case "lapsed":
                world.lapse(job)
            case "completed":
                world.complete(job, token)
            case "gone":
                job = uuid7()
        other = world.job()
        assert self.stale(world, (job, token), (other, world.claimed(other))) == {job}
        assert world.row("story_jobs", other)["step"] == "drafting"


class TestCompleting:
    def test_stores_the_story_schedules_its_delivery_and_ends_the_job(self, world: World) -> None:
        job = world.job()
        story, delivery = uuid7(), uuid7()
        assert world.complete(job, world.claimed(job), story=story, delivery=delivery) == (Verdict.OK, True)
        assert world.state("story_jobs", job) == "completed"
        told = world.row("stories", story)
        assert (told["title"], told["body"], told["writer"]) == (STORY.title, STORY.body, STORY.writer)
        row = world.row("scheduled_deliveries", delivery)
        planned = world.row("story_jobs", job)
        assert (row["state"], row["story_id"], row["job_id"]) == ("pending", story, job)
        same = ("user_id", "local_date", "due_at", "send_until")
        assert [row[name] for name in same] == [planned[name] for name in same]

    def test_says_when_the_delivery_is_not_due_yet(self, world: World) -> None:
        (job,) = world.jobs(due_at=now().replace(year=2040))
        assert world.complete(job, world.claimed(job)) == (Verdict.OK, False)

    def test_may_be_repeated(self, world: World) -> None:
        job = world.job()
        token, story, delivery = world.claimed(job), uuid7(), uuid7()
        world.complete(job, token, story=story, delivery=delivery, charge=1)
        again = world.complete(job, token, story=story, delivery=delivery, charge=1)
        assert again == (Verdict.ALREADY, True)
        assert world.value("select credits from users") == -1
        assert world.value("select count(*) from scheduled_deliveries") == 1

    def test_the_first_story_wins(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        world.complete(job, token)
        assert world.complete(job, token)[0] is Verdict.STALE
        assert world.value("select count(*) from stories") == 1

    def test_a_holder_whose_lease_passed_on_changes_nothing(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job, "a")
        world.lapse(job)
        assert world.complete(job, token)[0] is Verdict.STALE
        other = world.claimed(job, "b")
        assert world.complete(job, token)[0] is Verdict.STALE
        assert world.value("select count(*) from stories") == 0
        assert world.complete(job, other)[0] is Verdict.OK

    def test_of_an_unknown_job_is_stale(self, world: World) -> None:
        assert world.complete(uuid7(), 1)[0] is Verdict.STALE

    def test_charges_the_subscriber_once(self, world: World) -> None:
        job = world.job()
        world.change("update users set credits = 3")
        assert world.claim(job, charge=1).verdict is Verdict.GO
        world.complete(job, 1, charge=1)
        assert world.value("select credits from users") == 2

    def test_a_job_taken_up_again_after_it_was_missed_brings_its_delivery_back(self, world: World) -> None:
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="no", retry_seconds=None)
        world.change("update story_jobs set state = 'pending', holder = null, run_after = clock_timestamp()")
        story = uuid7()
        assert world.complete(job, world.claimed(job), story=story)[0] is Verdict.OK
        (delivery,) = world.column("select id from scheduled_deliveries")
        row = world.row("scheduled_deliveries", delivery)
        assert (row["state"], row["story_id"], row["reason"]) == ("pending", story, None)

    def test_a_second_delivery_for_one_date_is_refused_in_words_and_leaves_nothing(
        self, world: World
    ) -> None:
        job = world.job()
        token = world.claimed(job)
        world.change(
            "insert into scheduled_deliveries (id, job_id, user_id, local_date, due_at, send_until, state)"
            " select gen_random_uuid(), id, user_id, local_date, due_at, send_until, 'cancelled' from story_jobs"
        )
        with pytest.raises(DatabaseError, match="already on its way"):
            world.complete(job, token)
        assert world.value("select count(*) from stories") == 0
        assert world.state("story_jobs", job) == "running"


class TestFailing:
    def fail(self, world: World, job: UUID, token: int, retry: float | None) -> Verdict:
        return world.store.jobs.fail(job, token=token, error="the writer refused", retry_seconds=retry)

    def test_with_a_pause_the_job_waits_for_its_next_attempt(self, world: World) -> None:
        job = world.job()
        assert self.fail(world, job, world.claimed(job), 100) is Verdict.RETRY
        row = world.row("story_jobs", job)
        assert (row["state"], row["holder"], row["error"]) == ("pending", None, "the writer refused")
        assert 90 < (row["run_after"] - now()).total_seconds() < 110
        assert row["ring_at"] == row["run_after"]

    def test_without_a_pause_the_job_has_failed_and_its_mail_is_missed(self, world: World) -> None:
        job = world.job()
        assert self.fail(world, job, world.claimed(job), None) is Verdict.FAILED
        assert world.state("story_jobs", job) == "failed"
        assert world.column("select state from scheduled_deliveries") == ["missed"]
        assert "the writer refused" in world.value("select reason from scheduled_deliveries")

    def test_the_last_attempt_fails_the_job_whatever_was_asked_for(self, world: World) -> None:
        job = world.job()
        world.change("update story_jobs set max_attempts = 2")
        assert self.fail(world, job, world.claimed(job), 0) is Verdict.RETRY
        assert self.fail(world, job, world.claimed(job), 0) is Verdict.FAILED

    @pytest.mark.parametrize("retry", [100, None])
    def test_may_be_repeated(self, world: World, retry: float | None) -> None:
        job = world.job()
        token = world.claimed(job)
        self.fail(world, job, token, retry)
        assert self.fail(world, job, token, retry) is Verdict.ALREADY

    def test_with_a_stale_token_changes_nothing(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job, "a")
        world.lapse(job)
        assert self.fail(world, job, token, 0) is Verdict.STALE
        world.claimed(job, "b")
        assert self.fail(world, job, token, 0) is Verdict.STALE
        assert world.row("story_jobs", job)["holder"] == "b"

    def test_a_completed_job_cannot_fail_any_more(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        world.complete(job, token)
        assert self.fail(world, job, token, 0) is Verdict.STALE

    def test_words_that_postgres_cannot_hold_are_cleaned(self, world: World) -> None:
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="a\0b \ud800 \u2603", retry_seconds=0)
        assert world.row("story_jobs", job)["error"] == "a?b ? \u2603"


class TestHandingBack:
    def test_a_job_handed_back_is_free_at_once_and_has_lost_no_attempt(self, world: World) -> None:
        job = world.job()
        assert world.store.jobs.release(job, token=world.claimed(job, "a")) is Verdict.OK
        claim = world.claim(job, "b")
        assert (claim.verdict, claim.attempt, claim.token) == (Verdict.GO, 1, 2)

    def test_is_rung_for_at_the_next_tick(self, world: World) -> None:
        job = world.job()
        world.store.jobs.release(job, token=world.claimed(job))
        assert world.store.jobs.ring(fence=world.lead("scheduler"), sweep_seconds=60, limit=10) == (job,)

    def test_what_is_no_longer_ours_is_stale(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job, "a")
        world.lapse(job)
        world.claimed(job, "b")
        assert world.store.jobs.release(job, token=token) is Verdict.STALE
        assert world.row("story_jobs", job)["holder"] == "b"

    def test_twice_hands_back_once(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        world.store.jobs.release(job, token=token)
        assert world.store.jobs.release(job, token=token) is Verdict.STALE
        assert world.row("story_jobs", job)["attempt"] == 0
