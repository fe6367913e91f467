"""Drill 10: a story that its provider rejects at every attempt is ended for good, or written once that is mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from fixionmail.ops.views.findings import Finding, Harm
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.drills.test_drills_05_to_13_work import rung, worker
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.model_api import ApiError, Call
from tests.standins.server import Request


class Rejecting(AnthropicStandIn):
    """Finds fault with every request until it is mended."""

    mended = False

    def check(self, request: Request) -> Call:
        if not self.mended:
            raise ApiError(400, "invalid_request_error", "messages.0: this cannot be read")
        return super().check(request)


@pytest.fixture
def provider() -> Iterator[Rejecting]:
    with Rejecting() as running:
        yield running


@pytest.fixture
def poison(deployment: Deployment, provider: Rejecting, tmp_path: Path) -> Iterator[UUID]:
    """A story job at which a worker has failed three times; the worker is still there."""
    (bell,) = rung(deployment)
    job = UUID(bell.removeprefix("story-"))
    settings = {
        "STORY_PROVIDER": "anthropic",
        "ANTHROPIC_API_KEY": provider.api_key,
        "ANTHROPIC_BASE_URL": provider.url,
    }
    with worker(deployment, tmp_path, **settings):
        for attempt in (1, 2, 3):
            until(lambda made=attempt: has_failed(deployment, job, made), f"attempt {attempt}")
            if attempt < 3:
                its_pause_is_over(deployment, job)
        yield job


def its_pause_is_over(deployment: Deployment, job: UUID) -> None:
    deployment.world.change("update story_jobs set run_after = now(), ring_at = now() where id = %s", job)
    ring_as_the_scheduler_does(deployment)


def ring_as_the_scheduler_does(deployment: Deployment) -> tuple[UUID, ...]:
    """Ring for what is due for it; those that were rung for."""
    fence = deployment.world.lead("scheduler")
    due = deployment.world.store.jobs.ring(fence=fence, sweep_seconds=60, limit=100)
    deployment.ring(due)
    return due


def seen(deployment: Deployment) -> Finding:
    return deployment.findings()["job-poison"]


def test_it_is_named_with_its_attempts_and_the_providers_words(deployment: Deployment, poison: UUID) -> None:
    finding = seen(deployment)
    assert (finding.drill, finding.harm, finding.subjects) == (10, Harm.LATE, (str(poison),))
    assert finding.evidence[0].startswith(f"{poison}: 3 of 8 attempts: ")
    assert "this cannot be read" in finding.evidence[0]
    assert [cure.action for cure in finding.cures] == ["", "requeue", "cancel"]


def test_cancelled_it_has_ended_in_redis_and_in_the_database_and_is_never_rung_for_again(
    deployment: Deployment, poison: UUID
) -> None:
    assert deployment.cure(seen(deployment), "cancel") == {"done": 1}
    assert deployment.redis.hget(f"rq:job:story-{poison}", "status") == b"canceled"
    row = deployment.world.row("story_jobs", poison)
    assert (row["state"], row["error"]) == ("cancelled", "cancelled by drill: a drill")
    (record,) = deployment.world.audit("story job cancelled")
    assert (record["actor"], record["target"]) == ("drill", str(poison))
    deployment.world.change("update story_jobs set ring_at = now() - interval '1 hour'")
    assert ring_as_the_scheduler_does(deployment) == ()
    assert not {"job-poison", "queue-flushed", "story-late"} & deployment.findings().keys()


def test_queued_again_once_it_is_mended_its_story_is_written(
    deployment: Deployment, poison: UUID, provider: Rejecting
) -> None:
    finding = seen(deployment)
    provider.mended = True
    assert deployment.cure(finding, "requeue") == {"done": 1}
    until(lambda: deployment.world.state("story_jobs", poison) == "completed", "the story")
    assert deployment.world.column("select job_id from stories") == [poison]
    until(
        lambda: deployment.redis.hget(f"rq:job:story-{poison}", "status") == b"finished", "the end of its job"
    )
    assert "job-poison" not in deployment.findings()


def test_with_its_last_attempt_gone_it_is_named_still_and_written_once_it_is_mended_and_queued_again(
    deployment: Deployment, poison: UUID, provider: Rejecting
) -> None:
    deployment.world.change("update story_jobs set send_until = now() + interval '1 hour'")
    for attempt in range(4, 9):
        its_pause_is_over(deployment, poison)
        until(lambda made=attempt: has_failed(deployment, poison, made), f"attempt {attempt}")
    assert deployment.world.column("select state from scheduled_deliveries") == ["missed"]
    finding = seen(deployment)
    assert finding.subjects == (str(poison),)
    assert finding.evidence[0].startswith(f"{poison}: 8 of 8 attempts: ")
    provider.mended = True
    assert deployment.cure(finding, "requeue") == {"done": 1}
    until(lambda: deployment.world.column("select state from scheduled_deliveries") == ["sent"], "the mail")
    assert deployment.world.state("story_jobs", poison) == "completed"
    assert "job-poison" not in deployment.findings()


def has_failed(deployment: Deployment, job: UUID, attempt: int) -> bool:
    row = deployment.world.row("story_jobs", job)
    bell = deployment.redis.hget(f"rq:job:story-{job}", "status")
    state = "pending" if attempt < 8 else "failed"
    return (row["state"], row["attempt"], bell) == (state, attempt, b"failed")
