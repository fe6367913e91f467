"""Why a job of any RQ deployment is not running: what is told of those that got lost on the way to a worker."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Worker

from fixionmail.ops import why
from fixionmail.ops.actions import Hands
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.jobs import JobDetail
from tests.integration.ops.acting import repair
from tests.integration.worker.functions import HERE
from tests.integration.worker.servers import RedisServer


@pytest.fixture
def queue(redis: Redis) -> Queue:
    """A queue with one job and a live worker."""
    queue = Queue("reports", connection=redis)
    queue.enqueue(f"{HERE}.nothing", job_id="a-job")
    worker: Any = Worker([queue], connection=redis, name="lives")
    worker.register_birth()
    return queue


def asked(server: RedisServer) -> JobDetail:
    with closing(Observer(redis_url=server.url)) as observer:
        found = why.ask(observer, "a-job")
    assert found is not None
    return found


def put_back(job: JobDetail) -> list[tuple[str, tuple[str, ...]]]:
    return [(cure.action, cure.targets) for cure in job.cures]


def test_one_that_waits_is_told_to_wait(queue: Queue, server: RedisServer) -> None:
    job = asked(server)
    assert (job.state, job.why, job.cures) == ("queued", ("It waits for its turn in the queue.",), ())


@pytest.mark.parametrize("lease", [None, 1, time.time() + 3600], ids=["no run", "a dead run", "a run"])
def test_one_in_limbo_is_named_with_its_cure(
    redis: Any, queue: Queue, server: RedisServer, lease: float | None
) -> None:
    redis.lmove("rq:queue:reports", "rq:queue:reports:intermediate", "LEFT", "RIGHT")
    if lease is not None:
        redis.zadd("rq:wip:reports", {"a-job": lease})

    job = asked(server)

    assert job.state == "limbo"
    assert job.why[-1].startswith("It is in limbo: a worker took it off the queue and has not started it.")
    assert put_back(job) == [("repair-redis", ("a-job",))]


def test_one_that_is_in_no_list_is_told_as_lost(redis: Any, queue: Queue, server: RedisServer) -> None:
    redis.lpop("rq:queue:reports")

    job = asked(server)

    assert job.why[-1].startswith("It is in no list and no registry: it was lost")
    assert put_back(job) == [("repair-redis", ("a-job",))]


def test_one_that_a_worker_took_and_never_started_is_told_where_only_its_lease_is_left(
    redis: Any, queue: Queue, server: RedisServer
) -> None:
    redis.lpop("rq:queue:reports")
    redis.zadd("rq:wip:reports", {f"a-job:{'e' * 32}": 1})

    job = asked(server)

    assert job.why[-1].startswith("It counts as queued and is in no queue: a worker took it off")
    assert put_back(job) == [("repair-redis", ("a-job",))]
    with closing(Hands(redis_url=server.url)) as hands:
        assert repair(hands, ["a-job"]) == {"a-job": "requeued"}
    assert redis.lrange("rq:queue:reports", 0, -1) == [b"a-job"]
    assert redis.zcard("rq:wip:reports") == 0


def test_one_in_the_middle_of_a_long_list_waits(redis: Any, queue: Queue, server: RedisServer) -> None:
    for push in (redis.lpush, redis.rpush):
        push("rq:queue:reports", *["another"] * 100_001)

    assert asked(server).why[-1] == "It waits for its turn in the queue."


def test_one_that_waits_again_and_was_left_in_limbo_waits(
    redis: Any, queue: Queue, server: RedisServer
) -> None:
    redis.rpush("rq:queue:reports:intermediate", "a-job")
    assert asked(server).why[-1] == "It waits for its turn in the queue."
