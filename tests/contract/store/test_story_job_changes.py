"""Story jobs that operators end, or take up again: each as it was seen, once, and on record."""

from __future__ import annotations

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.verdict import Verdict
from tests.contract.store.world import TAKEN, World, now

WHO = {"by": "ada", "host": "here", "reason": "it cannot be written"}


def seen(world: World, *jobs: UUID) -> dict[UUID, str]:
    """What an operator saw of them."""
    return {row.job_id: row.seen for row in world.store.decisions.seen(jobs)}


def failed_once(world: World) -> UUID:
    """A job between two attempts."""
    job = world.job()
    verdict = world.store.jobs.fail(job, token=world.claimed(job), error="no hero", retry_seconds=900)
    assert verdict in (Verdict.RETRY, Verdict.ALREADY)
    return job


def failed_for_good(world: World) -> UUID:
    job = world.job()
    world.store.jobs.fail(job, token=world.claimed(job), error="no hero", retry_seconds=None)
    return job


def completed(world: World) -> UUID:
    job = world.job()
    assert world.complete(job, world.claimed(job))[0] in TAKEN
    return job


class TestSeeing:
    def test_names_those_there_are(self, world: World) -> None:
        job = failed_once(world)
        (row,) = world.store.decisions.seen([job, uuid7()])
        assert (row.job_id, row.state, row.attempt, row.max_attempts) == (job, "pending", 1, 8)

    def test_of_none_is_nothing(self, world: World) -> None:
        assert world.store.decisions.seen([]) == ()


class TestCancelling:
    def test_ends_a_job_for_good_and_is_on_record(self, world: World) -> None:
        job = failed_once(world)
        assert world.store.decisions.cancel(seen(world, job), **WHO) == {job: "ok"}
        row = world.row("story_jobs", job)
        assert (row["state"], row["error"]) == ("cancelled", "cancelled by ada: it cannot be written")
        assert world.claim(job).verdict is Verdict.CANCELLED
        assert world.store.operations.waiting_jobs() == ()
        (entry,) = world.audit("story job cancelled")
        assert (entry["actor"], entry["target"], entry["result"]) == (
            "ada",
            str(job),
            {"was": "pending", "attempt": 1, "error": "no hero"},
        )

    def test_twice_changes_nothing_more(self, world: World) -> None:
        as_seen = seen(world, failed_once(world))
        world.store.decisions.cancel(as_seen, **WHO)
        assert set(world.store.decisions.cancel(as_seen, **WHO).values()) == {"already"}
        assert len(world.audit("story job cancelled")) == 1

    def test_leaves_alone_what_has_ended_runs_moved_on_or_is_not_there(self, world: World) -> None:
        ended, failed, runs, moved_on, nobody = (
            completed(world),
            failed_for_good(world),
            *world.jobs(2),
            uuid7(),
        )
        as_seen = seen(world, ended, failed, runs, moved_on) | {nobody: "pending 0"}
        world.claimed(runs)
        world.store.jobs.release(moved_on, token=world.claimed(moved_on))
        assert world.store.decisions.cancel(as_seen, **WHO) == {
            ended: "ended",
            failed: "ended",
            runs: "running",
            moved_on: "changed",
            nobody: "gone",
        }
        assert world.audit("story job cancelled") == []

    def test_takes_a_job_whose_worker_died_and_refuses_what_it_brings_later(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        world.lapse(job)
        assert world.store.decisions.cancel(seen(world, job), **WHO) == {job: "ok"}
        assert world.complete(job, token)[0] is Verdict.STALE


class TestTakingUpAgain:
    @pytest.mark.parametrize("make", [failed_once, failed_for_good])
    def test_lets_a_job_be_claimed_at_once_with_all_its_attempts(self, world: World, make) -> None:  # type: ignore[no-untyped-def]
        job = make(world)
        assert world.store.decisions.retry(seen(world, job), **WHO) == {job: "ok"}
        claim = world.claim(job)
        assert (claim.verdict, claim.attempt) == (Verdict.GO, 1)
        assert world.complete(job, claim.token)[0] in TAKEN
        assert world.column("select state from scheduled_deliveries") == ["pending"]
        (entry,) = world.audit("story job taken up again")
        assert (entry["target"], entry["result"]["error"]) == (str(job), "no hero")

    def test_undoes_a_cancellation(self, world: World) -> None:
        job = failed_once(world)
        world.store.decisions.cancel(seen(world, job), **WHO)
        assert world.store.decisions.retry(seen(world, job), **WHO) == {job: "ok"}
        assert world.claim(job).verdict is Verdict.GO

    def test_twice_changes_nothing_more(self, world: World) -> None:
        as_seen = seen(world, failed_once(world))
        world.store.decisions.retry(as_seen, **WHO)
        assert set(world.store.decisions.retry(as_seen, **WHO).values()) == {"already"}
        assert len(world.audit("story job taken up again")) == 1

    def test_leaves_alone_what_is_written_runs_moved_on_or_is_not_there(self, world: World) -> None:
        written, runs, moved_on, nobody = completed(world), world.job(), failed_once(world), uuid7()
        as_seen = seen(world, written, runs, moved_on) | {nobody: "failed 1"}
        world.claimed(runs)
        world.change("update story_jobs set run_after = now() where id = %s", moved_on)
        world.store.jobs.fail(moved_on, token=world.claimed(moved_on), error="again", retry_seconds=900)
        assert world.store.decisions.retry(as_seen, **WHO) == {
            written: "ended",
            runs: "running",
            moved_on: "changed",
            nobody: "gone",
        }

    def test_is_refused_where_the_story_could_not_be_sent_any_more(self, world: World) -> None:
        late, left = failed_once(world), failed_once(world)
        world.change("update story_jobs set send_until = %s where id = %s", now(), late)
        owner = world.row("story_jobs", left)["user_id"]
        world.change("update users set status = 'paused' where id = %s", owner)
        assert world.store.decisions.retry(seen(world, late, left), **WHO) == {
            late: "refused: it is too late to send its story",
            left: "refused: the subscriber is paused",
        }
        assert world.audit("story job taken up again") == []

    def test_is_refused_where_a_mail_for_its_date_has_left_already(self, world: World) -> None:
        job = failed_once(world)
        world.store.decisions.cancel(seen(world, job), **WHO)
        row = world.row("story_jobs", job)
        email = world.row("users", row["user_id"])["email"]
        world.store.incoming.reconcile_mail(
            provider_id="earlier",
            delivery_id=uuid7(),
            event="email.sent",
            address=email,
            local_date=row["local_date"],
            sent_at=now(),
            by="ada",
            host="here",
        )
        (answer,) = world.store.decisions.retry(seen(world, job), **WHO).values()
        assert answer.startswith("refused: its mail is ")
