"""Why is this job not running? The first reason decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.jobs.dispatch import QueueDispatcher
from fixionmail.ops import why
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.jobs import JobDetail
from tests.drills.conftest import Deployment


@pytest.fixture
def asked(deployment: Deployment) -> Iterator[Callable[[UUID], JobDetail]]:
    with closing(Observer(redis_url=deployment.redis_url, settings=deployment.settings)) as observer:

        def ask(job: UUID) -> JobDetail:
            found = why.ask(observer, str(job))
            assert found is not None
            return found

        yield ask


@pytest.fixture
def job(deployment: Deployment) -> UUID:
    """A story job that waits in Redis."""
    job = deployment.world.job()
    ring(deployment, job)
    return job


def ring(deployment: Deployment, job: UUID) -> None:
    bell = QueueDispatcher(deployment.redis_url, story_timeout=900, mail_timeout=120)
    bell.ring_stories([job])
    bell.close()


def test_nobody_works_on_its_queue(asked: Callable[[UUID], JobDetail], job: UUID) -> None:
    seen = asked(job)
    assert seen.why[0].startswith("Nobody works on queue stories.")
    assert seen.why[-1] == "It waits for its turn in the queue."
    assert seen.cures[0].action == "start-process"
    assert seen.story_job["attempt"] == "0 of 8"


def test_its_queue_is_paused(asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID) -> None:
    deployment.redis.hset("fm:paused", "stories", '{"by": "ada", "reason": "a test", "since": 1900000000}')
    assert "Queue stories is paused. ada paused it: a test." in asked(job).why


def test_all_workers_are_suspended(
    asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID
) -> None:
    deployment.redis.set("rq:suspended", 1)
    assert any(reason.startswith("All workers are suspended.") for reason in asked(job).why)


def test_it_rests_after_a_failed_attempt(
    asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID
) -> None:
    world = deployment.world
    world.store.jobs.fail(job, token=world.claimed(job), error="overloaded", retry_seconds=900)
    assert asked(job).why[0].startswith("Attempt 1 of 8 failed (overloaded); the next may begin at ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update story_jobs set state = 'failed', error = 'no hero'", "It has failed: no hero"),
        ("update story_jobs set state = 'cancelled', error = null", "It has been cancelled: no reason given"),
        ("update users set status = 'paused'", "Its subscriber is paused: it is cancelled when"),
        (
            "update story_jobs set send_until = now() - interval '1 hour'",
            "It is too late: its story could be sent",
        ),
    ],
)
def test_the_database_has_the_last_word(
    asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID, change: str, words: str
) -> None:
    deployment.world.change(change)
    (reason,) = asked(job).why
    assert reason.startswith(words)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_one_that_has_ended_without_a_story_can_be_written_after_all_while_it_is_wanted(
    asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID, state: str
) -> None:
    deployment.world.change(f"update story_jobs set state = '{state}', error = 'no hero'")
    (cure,) = asked(job).cures
    assert deployment.run(cure) == {"done": 1}
    assert asked(job).why[-1] == "It waits for its turn in the queue."
    deployment.world.change(
        f"update story_jobs set state = '{state}', send_until = now() - interval '1 minute'"
    )
    assert asked(job).cures == ()


def test_somebody_holds_it(asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID) -> None:
    deployment.world.claimed(job, "worker@mill:7")
    assert asked(job).why == ("It runs: worker@mill:7 holds it, step claimed, 0 %.",)
    deployment.world.lapse(job)
    assert asked(job).why == ("worker@mill:7 held it and no longer vouches for it.",)


def test_its_story_is_written(asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID) -> None:
    deployment.world.complete(job, deployment.world.claimed(job))
    assert asked(job).why == ("Its story is written; the delivery is pending.",)


def test_redis_has_lost_it_and_a_ring_brings_it_back(
    asked: Callable[[UUID], JobDetail], deployment: Deployment, job: UUID
) -> None:
    deployment.redis.flushall()
    seen = asked(job)
    assert (seen.state, seen.places) == ("unknown to Redis", ())
    assert seen.why[-1] == "It waits in the database and is not in a queue of Redis."
    deployment.run(next(cure for cure in seen.cures if cure.action == "rering"))
    assert asked(job).state == "queued"


def test_nobody_knows_it(deployment: Deployment) -> None:
    with closing(Observer(redis_url=deployment.redis_url, settings=deployment.settings)) as observer:
        assert why.ask(observer, str(uuid7())) is None
        assert why.ask(observer, "anything") is None
