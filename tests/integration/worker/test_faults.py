"""Redis and workers fail in every way we know of: each job's effect is there once, and work goes on by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rq.registry import StartedJobRegistry

from fixionmail.jobs.worker import JsonSerializer, SafeJob
from tests.integration.worker.jobs import error_of, held, lines, new, notes, queue, status
from tests.integration.worker.proxy import LossyProxy
from tests.integration.worker.servers import RedisServer
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers

SOME = pytest.mark.parametrize("jobs", [100, pytest.param(1000, marks=pytest.mark.slow)])
"""The size of a fault: a hundred jobs in flight in the fast run, a thousand in the slow one."""


def ids(count: int) -> list[str]:
    return [f"n{i}" for i in range(count)]


def finished(redis: Redis) -> int:
    try:
        return int(redis.zcard("rq:finished:stories"))
    except (RedisError, OSError):
        return -1


def expect_each_once(redis: Redis, path: Path, count: int) -> None:
    """All jobs come to be finished, each has left its line once, and no lease is left."""
    eventually(lambda: finished(redis) == count, f"{count} jobs are finished")
    assert sorted(lines(path)) == sorted(ids(count))
    eventually(lambda: redis.zcard("rq:wip:stories") == 0, "no lease is left")


# ---- the connection ----------------------------------------------------------------------------------------------


@SOME
def test_connections_that_are_killed_all_the_time(
    redis: Redis, workers: Workers, tmp_path: Path, jobs: int
) -> None:
    workers.start(concurrency=10)
    queue(redis, *notes(tmp_path / "notes", ids(jobs), seconds=0.02))
    while finished(redis) < jobs:
        redis.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.03)
    expect_each_once(redis, tmp_path / "notes", jobs)


@pytest.fixture
def proxy(own_server: RedisServer) -> Iterator[LossyProxy]:
    proxy = LossyProxy(own_server.port, loss=0.1)
    yield proxy
    proxy.close()


@SOME
def test_replies_that_never_arrive(
    own_redis: Redis, proxy: LossyProxy, own_workers: Workers, tmp_path: Path, jobs: int
) -> None:
    queue(own_redis, *notes(tmp_path / "notes", ids(jobs)))
    own_workers.start(url=proxy.url, concurrency=10)
    expect_each_once(own_redis, tmp_path / "notes", jobs)
    assert proxy.cuts > 0
    proxy.heal()


def test_a_burst_far_from_its_server_does_its_work_before_it_ends(
    own_redis: Redis, own_server: RedisServer, own_workers: Workers, tmp_path: Path
) -> None:
    far = LossyProxy(own_server.port, delay=0.1)
    queue(own_redis, *notes(tmp_path / "notes", ids(10)))
    assert own_workers.start(url=far.url, burst=True).join() == 0
    expect_each_once(own_redis, tmp_path / "notes", 10)
    far.close()


# ---- the server ----------------------------------------------------------------------------------------------------


@SOME
def test_redis_killed_while_jobs_run_and_end(
    own_redis: Redis, own_server: RedisServer, own_workers: Workers, tmp_path: Path, gate: Path, jobs: int
) -> None:
    queue(own_redis, *held(tmp_path / "notes", gate, ids(jobs)))
    own_workers.start(concurrency=jobs)
    eventually(lambda: own_redis.zcard("rq:wip:stories") == jobs, "all are in flight")
    own_server.kill()
    gate.touch()
    eventually(lambda: len(lines(tmp_path / "notes")) == jobs, "all have ended meanwhile")
    own_server.start()
    expect_each_once(own_redis, tmp_path / "notes", jobs)


def test_redis_absent_when_the_worker_starts(
    own_server: RedisServer, own_redis: Redis, own_workers: Workers
) -> None:
    own_server.kill()
    own_workers.start()
    own_server.start()
    queue(own_redis, new("a", "nothing"))
    eventually(lambda: status(own_redis, "a") == "finished", "it has found Redis")


def test_redis_that_hangs(
    own_redis: Redis, own_server: RedisServer, own_workers: Workers, tmp_path: Path, gate: Path
) -> None:
    queue(own_redis, *held(tmp_path / "notes", gate, ids(50)))
    own_workers.start(concurrency=50)
    eventually(lambda: own_redis.zcard("rq:wip:stories") == 50, "all are in flight")
    own_server.pause()
    gate.touch()
    eventually(lambda: len(lines(tmp_path / "notes")) == 50, "all have ended meanwhile")
    own_server.resume()
    expect_each_once(own_redis, tmp_path / "notes", 50)


@SOME
def test_redis_out_of_memory(redis: Redis, workers: Workers, tmp_path: Path, gate: Path, jobs: int) -> None:
    queue(redis, *held(tmp_path / "notes", gate, ids(jobs)))
    workers.start(concurrency=max(50, jobs - 20))
    eventually(lambda: redis.zcard("rq:wip:stories") > 40, "many are in flight")
    redis.config_set("maxmemory", "1")
    try:
        gate.touch()
        eventually(lambda: len(lines(tmp_path / "notes")) > 40, "they have ended meanwhile")
        assert finished(redis) == 0
        assert redis.llen("rq:queue:stories") + redis.zcard("rq:wip:stories") == jobs
    finally:
        redis.config_set("maxmemory", "0")
    expect_each_once(redis, tmp_path / "notes", jobs)


@SOME
def test_redis_turned_read_only(
    own_redis: Redis, own_server: RedisServer, own_workers: Workers, tmp_path: Path, gate: Path, jobs: int
) -> None:
    queue(own_redis, *held(tmp_path / "notes", gate, ids(jobs)))
    own_workers.start(concurrency=jobs)
    eventually(lambda: own_redis.zcard("rq:wip:stories") == jobs, "all are in flight")
    own_redis.replicaof("127.0.0.1", "1")
    gate.touch()
    eventually(lambda: len(lines(tmp_path / "notes")) == jobs, "all have ended meanwhile")
    assert finished(own_redis) == 0
    own_redis.replicaof("NO", "ONE")
    expect_each_once(own_redis, tmp_path / "notes", jobs)


def test_redis_flushed_while_the_worker_waits(redis: Redis, workers: Workers) -> None:
    worker = workers.start()
    eventually(lambda: redis.scard("rq:workers") == 1, "it is registered")
    redis.flushall()
    redis.script_flush()
    queue(redis, new("a", "nothing"))
    eventually(lambda: status(redis, "a") == "finished", "it works on")
    eventually(lambda: redis.hget(f"rq:worker:{worker.name}", "birth"), "it is registered again")
    assert redis.smembers("rq:workers") == {f"rq:worker:{worker.name}".encode()}


def test_redis_flushed_while_jobs_run(redis: Redis, workers: Workers, tmp_path: Path, gate: Path) -> None:
    queue(redis, *held(tmp_path / "notes", gate, ids(5)))
    workers.start()
    eventually(lambda: redis.zcard("rq:wip:stories") == 5, "all are in flight")
    redis.flushall()
    gate.touch()
    queue(redis, *(new(f"late{i}", "nothing") for i in range(5)))
    eventually(lambda: finished(redis) == 5, "the new jobs are done")
    eventually(lambda: len(lines(tmp_path / "notes")) == 5, "the old ones end too")
    assert not redis.keys("rq:job:n*")


# ---- workers ---------------------------------------------------------------------------------------------------------


@SOME
def test_a_worker_killed_with_jobs_in_flight(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path, jobs: int
) -> None:
    queue(redis, *held(tmp_path / "notes", gate, ids(jobs)))
    process = workers.spawn(concurrency=jobs, lease_seconds=3)
    eventually(lambda: redis.zcard("rq:wip:stories") == jobs, "all are in flight")
    process.kill()
    process.wait()
    gate.touch()
    workers.start(concurrency=jobs, lease_seconds=3.0, heartbeat_seconds=0.5)
    expect_each_once(redis, tmp_path / "notes", jobs)


def test_a_job_that_kills_its_process_fails_when_it_has_no_retries_left(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    queue(redis, new("a", "die", str(tmp_path / "notes")))
    assert workers.spawn(lease_seconds=3).wait(60) == -signal.SIGKILL
    workers.start(lease_seconds=3.0, heartbeat_seconds=0.5)
    eventually(lambda: status(redis, "a") == "failed", "it is found")
    assert "AbandonedJobError" in error_of(redis, "a")


@pytest.mark.parametrize(("retries", "expected"), [(1, "queued"), (0, "failed")])
def test_rqs_own_cleanup_recovers_the_jobs_of_a_killed_worker(
    redis: Redis, workers: Workers, tmp_path: Path, retries: int, expected: str
) -> None:
    queue(redis, *notes(tmp_path / "notes", ["a"], seconds=60.0, retries=retries))
    process = workers.spawn()
    eventually(lambda: status(redis, "a") == "started", "it runs")
    process.kill()
    process.wait()
    registry = StartedJobRegistry("stories", connection=redis, job_class=SafeJob, serializer=JsonSerializer)
    registry.cleanup()
    assert status(redis, "a") == "started"
    registry.cleanup(timestamp=time.time() + 100)
    assert status(redis, "a") == expected
    assert redis.zcard("rq:wip:stories") == 0


def test_a_worker_frozen_beyond_its_lease_does_not_disturb_its_successor(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    queue(redis, *held(tmp_path / "notes", gate, ["a"]))
    process = workers.spawn(lease_seconds=3, queues=["stories"])
    eventually(lambda: status(redis, "a") == "started", "it runs")
    process.send_signal(signal.SIGSTOP)
    gate.touch()
    successor = workers.start(lease_seconds=3.0, heartbeat_seconds=0.5)
    eventually(lambda: status(redis, "a") == "finished", "the successor has done it")
    process.send_signal(signal.SIGCONT)
    eventually(lambda: "was refused" in workers.log(), "the late result is refused")
    assert redis.hget("rq:job:a", "worker_name") == successor.name.encode()
    assert redis.xlen("rq:results:a") == 1
    queue(redis, *notes(tmp_path / "more", ["b"]))
    eventually(lambda: status(redis, "b") == "finished", "both work on")


def test_a_worker_frozen_for_a_moment_works_on(redis: Redis, workers: Workers, tmp_path: Path) -> None:
    queue(redis, *notes(tmp_path / "notes", ids(50), seconds=0.3))
    process = workers.spawn()
    eventually(lambda: redis.zcard("rq:wip:stories") > 0, "some are in flight")
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    process.send_signal(signal.SIGCONT)
    expect_each_once(redis, tmp_path / "notes", 50)


def test_two_workers_share_the_queues_without_running_a_job_twice(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    queue(redis, *notes(tmp_path / "notes", ids(500)))
    both = [workers.start(burst=True), workers.start(burst=True)]
    for worker in both:
        worker.join()
    expect_each_once(redis, tmp_path / "notes", 500)


# ---- damaged records -------------------------------------------------------------------------------------------------


def test_a_job_with_damaged_records_holds_up_no_other(redis: Redis, workers: Workers) -> None:
    jobs = [new(f"n{i}", "nothing") for i in range(20)]
    queue(redis, *jobs, new("poison", "nothing"))
    redis.set("rq:results:poison", "not a stream")
    redis.hset("rq:job:n7", "retry_intervals", "not JSON")
    workers.start(burst=True).join()
    assert redis.zcard("rq:finished:stories") == 20
    assert status(redis, "poison") == "failed"
    assert redis.zrange("rq:failed:stories", 0, -1) == [b"poison"]
    assert redis.zcard("rq:wip:stories") == 0


def test_an_id_whose_record_is_of_the_wrong_type_is_dropped(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "nothing"), new("b", "nothing"))
    redis.delete("rq:job:a")
    redis.set("rq:job:a", "not a hash")
    workers.start(burst=True).join()
    assert status(redis, "b") == "finished"
    assert redis.llen("rq:queue:stories") == 0


def test_a_queue_of_the_wrong_type_does_not_stop_the_other(redis: Redis, workers: Workers) -> None:
    redis.set("rq:queue:emails", "not a list")
    workers.start()
    queue(redis, new("a", "nothing"))
    eventually(lambda: status(redis, "a") == "finished", "stories are served")
    redis.delete("rq:queue:emails")
    queue(redis, new("b", "nothing"), on="emails")
    eventually(lambda: status(redis, "b") == "finished", "emails too, once the key is right")


def test_a_counter_of_the_wrong_type_does_not_stop_the_work(redis: Redis, workers: Workers) -> None:
    minute = int(time.time()) // 60
    for key in (f"fm:stats:stories:{minute}", f"fm:stats:stories:{minute + 1}"):
        redis.set(key, "not a hash")
    queue(redis, new("a", "nothing"))
    workers.start(burst=True).join()
    assert status(redis, "a") == "finished"
