"""Queueing many jobs at once, and ringing again for jobs that got lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from fixionmail.errors import InputError
from fixionmail.jobs.worker import enqueue_many
from tests.integration.worker.jobs import lines, new, queue, status
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def test_a_thousand_jobs_cost_one_command(redis: Redis) -> None:
    queue(redis, new("first", "nothing"))  # the server has learnt the script
    before = redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    result = enqueue_many(redis, "stories", [new(f"j{i}", "nothing") for i in range(2000)])
    assert len(result.pushed) == 2000
    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 2
    assert redis.llen("rq:queue:stories") == 2001


def test_an_id_that_waits_is_skipped_also_within_one_call(redis: Redis) -> None:
    queue(redis, new("a", "nothing"))
    result = enqueue_many(redis, "stories", [new("a", "nothing"), new("b", "nothing"), new("b", "nothing")])
    assert (result.pushed, result.skipped) == (("b",), ("a", "b"))
    assert redis.lrange("rq:queue:stories", 0, -1) == [b"a", b"b"]


def test_an_id_that_runs_is_skipped(redis: Redis, workers: Workers, tmp_path: Path) -> None:
    job = new("a", "careless", str(tmp_path / "notes"), str(tmp_path / "gate"))
    queue(redis, job)
    workers.start()
    eventually(lambda: lines(tmp_path / "notes"), "it runs")
    assert enqueue_many(redis, "stories", [job]).skipped == ("a",)
    (tmp_path / "gate").touch()


@pytest.mark.parametrize("function", ["nothing", "boom"])
def test_an_id_that_has_ended_is_queued_anew(redis: Redis, workers: Workers, function: str) -> None:
    queue(redis, new("a", function))
    workers.start(burst=True).join()
    assert enqueue_many(redis, "stories", [new("a", "nothing")]).pushed == ("a",)
    assert status(redis, "a") == "queued"
    assert redis.ttl("rq:job:a") == -1
    assert not redis.exists("rq:finished:stories", "rq:failed:stories")


def test_an_id_marked_queued_that_is_in_no_list_is_pushed_again(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "nothing"))
    redis.delete("rq:queue:stories")
    queue(redis, new("b", "nothing"), new("a", "nothing"))
    workers.start(burst=True).join()
    assert status(redis, "a") == "finished"


def test_in_a_list_too_long_to_read_a_queued_id_is_taken_to_wait(redis: Redis) -> None:
    queue(redis, new("a", "nothing"))
    redis.lpop("rq:queue:stories")
    redis.rpush("rq:queue:stories", *range(10_001))
    assert enqueue_many(redis, "stories", [new("a", "nothing")]).skipped == ("a",)


def test_an_id_whose_lease_has_lapsed_is_pushed_again(redis: Redis, workers: Workers, tmp_path: Path) -> None:
    job = new("a", "note", str(tmp_path / "notes"), "a", 30.0)
    queue(redis, job)
    process = workers.spawn()
    eventually(lambda: status(redis, "a") == "started", "it runs")
    process.kill()
    (member,) = redis.zrange("rq:wip:stories", 0, -1)
    assert enqueue_many(redis, "stories", [job]).skipped == ("a",)
    redis.zadd("rq:wip:stories", {member: 1.0})  # 90 seconds have passed
    assert enqueue_many(redis, "stories", [job]).pushed == ("a",)
    assert not redis.exists("rq:wip:stories", "rq:executions:a", f"rq:execution:{member.decode()}")


def test_jobs_at_the_front_go_first(redis: Redis) -> None:
    queue(redis, new("a", "nothing"))
    enqueue_many(redis, "stories", [new("b", "nothing")], at_front=True)
    assert redis.lrange("rq:queue:stories", 0, -1) == [b"b", b"a"]


def test_an_id_rq_would_not_take_is_refused(redis: Redis) -> None:
    with pytest.raises(InputError, match="a:b"):
        enqueue_many(redis, "stories", [new("a:b", "nothing")])


def test_enqueued_jobs_are_counted(redis: Redis) -> None:
    queue(redis, *(new(f"j{i}", "nothing") for i in range(3)))
    (key,) = redis.keys("fm:stats:stories:*")
    assert redis.hget(key, "enqueued") == b"3"
