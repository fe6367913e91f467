"""What the delivery leader repairs, each repair on record."""

from __future__ import annotations

from uuid import UUID

from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import World


def reap(world: World, limit: int = 100) -> dict[str, int]:
    return dict(world.tick(limit))


def repairs(world: World) -> list[tuple[str, str]]:
    """Action and target of everything that was repaired."""
    rows = world.audit()
    assert all(row["actor"] == "reconciler" and row["reason"] for row in rows)
    return [(row["action"], row["target"]) for row in rows]


def too_late(world: World, table: str, key: UUID) -> None:
    world.change(
        f"update {table} set send_until = clock_timestamp() - interval '1 second' where id = %s", key
    )


def test_where_all_is_well_nothing_is_touched(world: World) -> None:
    world.jobs(2)
    world.claimed(world.job())
    world.sending()
    world.sealed()
    world.draft()
    world.sent()
    assert reap(world) == {}
    assert repairs(world) == []


class TestJobs:
    def test_a_job_whose_worker_died_waits_again_and_is_rung_for(self, world: World) -> None:
        job = world.job()
        world.claimed(job, "dead worker")
        world.lapse(job)
        assert reap(world) == {"jobs_lapsed": 1}
        row = world.row("story_jobs", job)
        assert (row["state"], row["holder"]) == ("pending", None)
        assert "dead worker" in row["error"]
        assert repairs(world) == [("job taken back", str(job))]
        assert world.store.jobs.ring(fence=world.lead("scheduler"), sweep_seconds=60, limit=10) == (job,)

    def test_at_its_last_attempt_it_has_failed_and_its_mail_is_missed(self, world: World) -> None:
        job = world.job()
        world.change("update story_jobs set max_attempts = 1")
        world.claimed(job)
        world.lapse(job)
        assert reap(world) == {"jobs_lapsed": 1}
        assert world.state("story_jobs", job) == "failed"
        assert world.column("select state from scheduled_deliveries where job_id = %s", job) == ["missed"]

    def test_a_job_that_was_never_written_in_time_is_missed(self, world: World) -> None:
        job = world.job()
        too_late(world, "story_jobs", job)
        assert reap(world) == {"jobs_missed": 1}
        assert world.state("story_jobs", job) == "failed"
        assert world.column("select reason from scheduled_deliveries") == ["it was not written in time"]
        assert repairs(world) == [("job missed", str(job))]

    def test_a_missed_job_tells_what_went_wrong_last(self, world: World) -> None:
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="the writer refused", retry_seconds=3600)
        too_late(world, "story_jobs", job)
        reap(world)
        reason = "it was not written in time; last error: the writer refused"
        assert world.column("select reason from scheduled_deliveries") == [reason]

    def test_a_lapsed_job_that_is_too_late_is_taken_back_and_missed_at_once(self, world: World) -> None:
        job = world.job()
        world.claimed(job)
        world.lapse(job)
        too_late(world, "story_jobs", job)
        assert reap(world) == {"jobs_lapsed": 1, "jobs_missed": 1}


class TestBatches:
    def test_a_draft_whose_hand_died_is_dissolved_and_its_members_are_due_again(self, world: World) -> None:
        batch, _, members = world.draft(2)
        world.lapse(batch)
        assert reap(world) == {"drafts_dissolved": 1}
        assert world.state("mail_batches", batch) == "dissolved"
        assert repairs(world) == [("draft dissolved", str(batch))]
        world.slow_backlog()
        again = world.open("b")
        assert {letter.delivery_id for letter in again.letters} == set(members)

    def test_halves_that_nobody_took_are_dissolved_too(self, world: World) -> None:
        batch, token, _ = world.sending(2)
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        world.change("update mail_batches set lease_expires_at = clock_timestamp() where state = 'draft'")
        assert reap(world) == {"drafts_dissolved": 2}
        assert world.open().verdict is Verdict.DRAFT

    def test_a_batch_whose_sender_died_is_ambiguous_and_goes_out_again_as_it_was(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.lapse(batch)
        assert reap(world) == {"batches_ambiguous": 1}
        assert repairs(world) == [("batch ambiguous", str(batch))]
        assert world.open("b").batch_id == batch
        begun = world.begin(batch, "b")
        assert (begun.verdict, begun.body) == (Verdict.GO, b"bytes")
        assert begun.token > token

    def test_a_batch_beyond_its_window_is_uncertain(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS, error="timeout")
        world.change("update mail_batches set first_used_at = first_used_at - interval '23.1 hours'")
        assert reap(world) == {"batches_closed": 1}
        assert world.state("mail_batches", batch) == "uncertain"
        assert world.state("scheduled_deliveries", member) == "uncertain"
        assert repairs(world) == [("batch closed", str(batch))]

    def test_a_batch_never_sent_and_too_late_is_missed(self, world: World) -> None:
        batch, (member,) = world.sealed()
        too_late(world, "mail_batches", batch)
        assert reap(world) == {"batches_closed": 1}
        assert world.state("scheduled_deliveries", member) == "missed"
        assert world.value("select count(*) from mail_bodies") == 0

    def test_a_sender_that_died_beyond_the_window_is_closed_in_one_pass(self, world: World) -> None:
        batch, _, (member,) = world.sending()
        world.lapse(batch)
        world.change("update mail_batches set first_used_at = first_used_at - interval '23.1 hours'")
        assert reap(world) == {"batches_ambiguous": 1, "batches_closed": 1}
        assert world.state("scheduled_deliveries", member) == "uncertain"


class TestDeliveries:
    def test_a_delivery_that_nobody_sent_in_time_is_missed(self, world: World) -> None:
        (delivery,) = world.deliveries()
        too_late(world, "scheduled_deliveries", delivery)
        assert reap(world) == {"deliveries_missed": 1}
        row = world.row("scheduled_deliveries", delivery)
        assert (row["state"], row["reason"]) == ("missed", "it could not be sent in time")
        assert repairs(world) == [("delivery missed", str(delivery))]


def test_no_more_of_a_kind_than_asked_for_at_once(world: World) -> None:
    for job in world.jobs(5):
        too_late(world, "story_jobs", job)
    assert reap(world, limit=3) == {"jobs_missed": 3}
    assert reap(world, limit=3) == {"jobs_missed": 2}


def test_a_second_pass_finds_nothing(world: World) -> None:
    batch, _, _ = world.draft()
    world.lapse(batch)
    reap(world)
    assert reap(world) == {}
