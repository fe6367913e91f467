"""Drill 7 with a story in hand: its worker is gone, the story is taken back, and that is one trouble."""

from __future__ import annotations

from uuid import UUID

from tests.contract.store.world import World
from tests.drills.conftest import Deployment

LOST = "job-lease-lapsed"
FAILED = "story-provider"


def the_worker_dies_with(world: World, job: UUID) -> None:
    """It has begun, and nobody renews its claim."""
    world.claimed(job, "worker@mill:7")
    world.lapse(job)


def test_a_story_whose_worker_died_counts_as_failed_when_no_attempt_is_left_and_not_before(
    deployment: Deployment,
) -> None:
    world = deployment.world
    job = world.job()
    the_worker_dies_with(world, job)
    assert {LOST, FAILED} & deployment.findings().keys() == {LOST}
    assert world.tick()["jobs_lapsed"] == 1
    assert world.state("story_jobs", job) == "pending"
    assert not {LOST, FAILED} & deployment.findings().keys()

    world.change("update story_jobs set attempt = max_attempts - 1")
    the_worker_dies_with(world, job)
    assert {LOST, FAILED} & deployment.findings().keys() == {LOST}
    assert world.tick()["jobs_lapsed"] == 1
    assert world.state("story_jobs", job) == "failed"
    finding = deployment.findings()[FAILED]
    assert finding.title.startswith("1 story failed: lease of worker@mill:7 lapsed in attempt 8")
    assert finding.count == 1


def test_what_a_provider_answered_is_told_while_the_story_waits_for_its_next_attempt(
    deployment: Deployment,
) -> None:
    world = deployment.world
    job = world.job()
    world.store.jobs.fail(job, token=world.claimed(job), error="Anthropic answered 529", retry_seconds=900)
    assert deployment.findings()[FAILED].title == "1 story failed: Anthropic answered 529"
