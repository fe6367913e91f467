"""What this worker writes is what rq's own SimpleWorker writes, during a run and after it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.timeouts import TimerDeathPenalty

from fixionmail.jobs.worker import JsonSerializer, NewJob, enqueue_many
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import lines
from tests.integration.worker.keyspace import keyspace
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers

YEAR = 31536000
"""rq keeps the results of failed jobs for ever unless told otherwise; this worker keeps them for a year."""

Fill = Callable[[Queue], object]


class StockWorker(SimpleWorker):  # type: ignore[misc, unused-ignore]
    """rq's worker without signals, so that it can run in a thread."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        return None


def chain(queue: Queue, first: str) -> None:
    queue.enqueue(f"{HERE}.{first}", job_id="first", failure_ttl=YEAR)
    queue.enqueue(f"{HERE}.nothing", job_id="second", depends_on="first")


def job(function: str, *args: object, **options: Any) -> Fill:
    return lambda queue: queue.enqueue(f"{HERE}.{function}", *args, job_id="a", **options)


KINDS: dict[str, Fill] = {
    "a result": job("add", 2, 3),
    "no result": job("nothing"),
    "an exception": job("boom", failure_ttl=YEAR),
    "an exception whose record is kept 77 s": job("boom", failure_ttl=77),
    "a result kept 77 s": job("add", 2, 3, result_ttl=77),
    "a result kept for ever": job("add", 2, 3, result_ttl=-1),
    "a result not kept": job("add", 2, 3, result_ttl=0),
    "a job with a lifetime": job("nothing", ttl=600),
    "retries": job("boom", retry=Retry(max=2), failure_ttl=YEAR),
    "a retry at the front": job("boom", retry=Retry(max=1, enqueue_at_front=True), failure_ttl=YEAR),
    "a retry after a while": job("boom", retry=Retry(max=2, interval=[600, 1200]), failure_ttl=YEAR),
    "a dependent job": lambda queue: chain(queue, "nothing"),
    "a job that depends on a failed one": lambda queue: chain(queue, "boom"),
    "metadata and a description": job("nothing", meta={"k": [1]}, description="what it is"),
}


@pytest.fixture
def stories(redis: Redis) -> Queue:
    return Queue("stories", connection=redis, serializer=JsonSerializer)


def stock_worker(redis: Redis) -> StockWorker:
    client = Redis(connection_pool=redis.connection_pool)
    return StockWorker(["emails", "stories"], connection=client, serializer=JsonSerializer)


@pytest.mark.parametrize("fill", KINDS.values(), ids=KINDS.keys())
def test_after_a_run_the_keys_are_those_of_a_stock_worker(
    redis: Redis, stories: Queue, workers: Workers, fill: Fill
) -> None:
    fill(stories)
    stock = stock_worker(redis)
    stock.work(burst=True, logging_level="CRITICAL")
    expected = keyspace(redis, stock.name)

    redis.flushall()
    fill(stories)
    ours = workers.start(burst=True)
    ours.join()
    assert keyspace(redis, ours.name) == expected


def test_during_a_run_the_keys_are_those_of_a_stock_worker(
    redis: Redis, stories: Queue, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    def fill(notes: Path) -> None:
        stories.enqueue(
            f"{HERE}.careless", str(notes), str(gate), job_id="a", description="careless", ttl=900
        )

    fill(tmp_path / "stock")
    stock = stock_worker(redis)
    thread = threading.Thread(target=stock.work, kwargs={"burst": True, "logging_level": "CRITICAL"})
    thread.start()
    eventually(lambda: lines(tmp_path / "stock"), "the stock worker runs the job")
    expected = keyspace(redis, stock.name)
    gate.touch()
    thread.join()
    gate.unlink()

    redis.flushall()
    fill(tmp_path / "stock")
    (tmp_path / "stock").unlink()
    ours = workers.start()
    eventually(lambda: lines(tmp_path / "stock"), "the worker runs the job")
    eventually(lambda: redis.scard("rq:workers") == 1, "the worker is registered")
    assert keyspace(redis, ours.name) == expected


def test_a_queued_job_is_written_as_rq_writes_it(redis: Redis, stories: Queue) -> None:
    options: dict[str, Any] = {"job_timeout": 60, "result_ttl": 70, "failure_ttl": 80, "retry": Retry(max=3)}
    stories.enqueue(f"{HERE}.add", args=(1,), kwargs={"b": "x"}, job_id="a", **options)
    expected = keyspace(redis, "none")

    redis.flushall()
    new = NewJob(
        id="a",
        function=f"{HERE}.add",
        args=(1,),
        kwargs={"b": "x"},
        timeout=60,
        result_ttl=70,
        failure_ttl=80,
        retries=3,
    )
    enqueue_many(redis, "stories", [new])
    assert keyspace(redis, "none") == expected
