"""How a worker ends: signals, the drain, what goes back to the queue, and the exit code."""

from __future__ import annotations

import signal
import time
from itertools import count
from pathlib import Path

from redis import Redis

from tests.integration.worker.jobs import held, lines, new, queue, status
from tests.integration.worker.servers import RedisServer
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def test_sigterm_lets_running_jobs_finish_and_ends_with_0(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    queue(redis, *held(tmp_path / "notes", gate, [f"n{i}" for i in range(30)]))
    process = workers.spawn(concurrency=10)
    eventually(lambda: redis.zcard("rq:wip:stories") == 10, "ten jobs run")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "stops: it was asked to" in workers.log(), "the signal is heard")
    gate.touch()
    assert process.wait(60) == 0
    assert redis.zcard("rq:finished:stories") == len(lines(tmp_path / "notes")) == 10
    assert redis.llen("rq:queue:stories") == 20
    assert redis.scard("rq:workers") == redis.zcard("rq:wip:stories") == 0


def test_what_outlasts_the_drain_goes_back_to_the_front_of_its_queue(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    queue(redis, new("long", "careless", str(tmp_path / "notes"), str(gate)))
    process = workers.spawn(drain_seconds=0.3, concurrency=1)
    eventually(lambda: lines(tmp_path / "notes"), "the job runs")
    queue(redis, new("later", "nothing"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert redis.lrange("rq:queue:stories", 0, -1) == [b"long", b"later"]
    assert status(redis, "long") == "queued"
    assert not redis.exists("rq:wip:stories", "rq:executions:long")
    assert not redis.keys("rq:execution:*") + redis.keys("rq:worker:*:executions")
    gate.touch()
    workers.start(burst=True).join()
    assert redis.zcard("rq:finished:stories") == 2


def test_a_second_signal_ends_the_process_at_once(redis: Redis, workers: Workers, tmp_path: Path) -> None:
    queue(redis, new("long", "careless", str(tmp_path / "notes"), str(tmp_path / "gate")))
    process = workers.spawn(drain_seconds=600)
    eventually(lambda: lines(tmp_path / "notes"), "the job runs")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "stops: it was asked to" in workers.log(), "the first signal is heard")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 1


def test_an_idle_worker_does_not_wait_out_its_drain_for_a_redis_that_is_away(
    own_server: RedisServer, own_workers: Workers
) -> None:
    own_server.kill()  # before it asks for jobs the first time: it would wait for the next without a word
    process = own_workers.spawn(drain_seconds=600)
    eventually(lambda: "Redis does not serve the worker" in own_workers.log(), "it has noticed")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_a_broken_part_ends_the_worker_with_a_code_that_restarts_it(redis: Redis, workers: Workers) -> None:
    worker = workers.start()
    eventually(lambda: redis.scard("rq:workers") == 1, "it works")
    worker.worker._exchange.inbox.put(object())  # type: ignore[arg-type]  # a defect
    assert worker.join() == 70


def test_memory_that_grows_beyond_its_limit_has_the_process_replaced(redis: Redis, workers: Workers) -> None:
    queue(redis, *(new(f"n{i}", "nothing") for i in range(200)))
    process = workers.spawn(max_rss_growth_mb=20)
    leaks = (f"leak{i}" for i in count())

    def ends_as_it_leaks() -> bool:
        time.sleep(0.2)
        queue(redis, new(next(leaks), "leak", 4))
        return process.poll() is not None

    eventually(ends_as_it_leaks, "it ends")
    assert process.returncode == 75
    assert "memory has grown by" in workers.log()
