"""Requeue, cancel and delete of story jobs: in the database first, in Redis as well, and without Redis too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from rq import Queue

from fixionmail.jobs.dispatch import QueueDispatcher
from fixionmail.jobs.names import story_job_id
from fixionmail.ops import actions
from fixionmail.ops.actions import Hands
from fixionmail.settings import Settings
from tests.contract.store.world import World
from tests.integration.ops.acting import act, run
from tests.integration.worker.jobs import status
from tests.integration.worker.servers import RedisServer, free_port


@pytest.fixture
def hands(redis: Redis, server: RedisServer, world: World, tmp_path: Path) -> Iterator[Hands]:
    """A whole deployment."""
    with closing(hands_at(server.url, world, tmp_path)) as opened:
        yield opened


def hands_at(url: str | None, world: World, home: Path) -> Hands:
    settings = Settings.model_validate({"redis_url": url, "fixionmail_home": home})
    return Hands(redis_url=url, store=lambda: world.store, settings=settings)


def rung(world: World, server: RedisServer, count: int = 1) -> list[str]:
    """The doorbells of so many story jobs."""
    jobs = world.jobs(count)
    bell = QueueDispatcher(server.url, story_timeout=900, mail_timeout=120)
    bell.ring_stories(jobs)
    bell.close()
    return [story_job_id(job) for job in jobs]


def state(world: World, bell: str) -> str:
    return world.state("story_jobs", bell.removeprefix("story-"))


def waiting(redis: Any) -> list[str]:
    return [raw.decode() for raw in redis.lrange("rq:queue:stories", 0, -1)]


def test_a_cancelled_story_has_ended_in_both_and_says_so_before(
    hands: Hands, world: World, redis: Redis, server: RedisServer
) -> None:
    cancelled, other = rung(world, server, 2)
    previewed = actions.preview(hands, "cancel", (cancelled,))
    assert "1 of these are stories, which will not be written until they are requeued." in previewed.warnings
    assert previewed.samples[0].endswith("; in the database pending, attempt 0 of 8")
    assert run(hands, previewed) == {cancelled: "done"}
    assert (state(world, cancelled), status(redis, cancelled)) == ("cancelled", "canceled")
    assert (state(world, other), waiting(redis)) == ("pending", [other])
    assert len(world.audit("story job cancelled")) == 1


def test_a_cancelled_story_that_is_requeued_is_rung_for_even_when_redis_has_forgotten_it(
    hands: Hands, world: World, redis: Any, server: RedisServer
) -> None:
    bell, forgotten = rung(world, server, 2)
    act(hands, "cancel", bell, forgotten)
    redis.delete(f"rq:job:{forgotten}")
    assert act(hands, "requeue", bell, forgotten) == {bell: "done", forgotten: "done"}
    assert [state(world, each) for each in (bell, forgotten)] == ["pending", "pending"]
    assert sorted(waiting(redis)) == sorted([bell, forgotten])


def test_a_story_goes_by_its_own_id_too(hands: Hands, world: World, server: RedisServer) -> None:
    (bell,) = rung(world, server)
    assert act(hands, "cancel", bell.removeprefix("story-")) == {bell: "done"}
    assert state(world, bell) == "cancelled"


def test_a_story_that_moved_on_in_the_database_is_left_alone_in_both(
    hands: Hands, world: World, redis: Redis, server: RedisServer
) -> None:
    runs, retried = rung(world, server, 2)
    previewed = actions.preview(hands, "cancel", (runs, retried))
    world.claimed(UUID(runs.removeprefix("story-")))
    job = UUID(retried.removeprefix("story-"))
    world.store.jobs.fail(job, token=world.claimed(job), error="later", retry_seconds=900)
    assert run(hands, previewed) == {runs: "running", retried: "moved on"}
    assert [status(redis, each) for each in (runs, retried)] == ["queued", "queued"]


def test_a_story_that_is_written_is_not_written_again(
    hands: Hands, world: World, redis: Redis, server: RedisServer
) -> None:
    (bell,) = rung(world, server)
    job = UUID(bell.removeprefix("story-"))
    world.complete(job, world.claimed(job))
    redis.hset(f"rq:job:{bell}", "status", "failed")
    assert act(hands, "requeue", bell) == {bell: "ended"}
    assert status(redis, bell) == "failed"


def test_stories_and_other_jobs_are_changed_side_by_side(
    hands: Hands, world: World, redis: Redis, server: RedisServer
) -> None:
    (bell,) = rung(world, server)
    Queue("reports", connection=redis).enqueue("operator.add", 1, 1, job_id="report")
    stranger = story_job_id(UUID(int=7))
    assert act(hands, "cancel", "report", bell, stranger) == {
        "report": "done",
        bell: "done",
        stranger: "gone",
    }
    assert status(redis, "report") == "canceled"


@pytest.mark.parametrize("url", [None, "away"])
def test_a_story_is_ended_and_taken_up_again_without_redis(
    world: World, server: RedisServer, redis: Redis, tmp_path: Path, url: str | None
) -> None:
    (bell,) = rung(world, server)
    away = f"redis://127.0.0.1:{free_port()}" if url else None
    with closing(hands_at(away, world, tmp_path)) as hands:
        assert act(hands, "cancel", bell) == {bell: "done"}
        assert state(world, bell) == "cancelled"
        assert act(hands, "requeue", bell) == {bell: "done"}
    assert state(world, bell) == "pending"


def test_deleting_says_that_a_story_is_rung_for_again(
    hands: Hands, world: World, server: RedisServer
) -> None:
    (bell,) = rung(world, server)
    (warning,) = actions.preview(hands, "delete", (bell,)).warnings
    assert warning == (
        "1 of these ring for stories: those still wanted are rung for again; to end one, cancel it."
    )
    assert act(hands, "delete", bell) == {bell: "done"}
    assert state(world, bell) == "pending"
