"""A worker runs the functions it was given, and nothing that a job record says besides."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from redis import Redis
from rq import Callback, Queue, Repeat
from rq.job import Job
from rq.webhook import Webhook

from fixionmail.jobs.worker import JsonSerializer, NewJob, SafeJob, enqueue_many
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import error_of, new, queue, status
from tests.integration.worker.workers import Workers

NEVER_IMPORTED = "this.zen"
"""Importing ``this`` prints a poem; no test run imports it."""


@pytest.fixture
def stories(redis: Redis) -> Queue:
    """The queue as any rq client sees it."""
    return Queue("stories", connection=redis, serializer=JsonSerializer)


def refused(redis: Redis, workers: Workers, job_id: str) -> str:
    """Run the queue; returns the reason why the job was refused."""
    workers.start(burst=True).join()
    assert status(redis, job_id) == "failed"
    assert redis.zscore("rq:failed:stories", job_id) is not None
    assert "this" not in sys.modules
    return error_of(redis, job_id)


def test_another_function_is_refused_by_name_and_not_imported(redis: Redis, workers: Workers) -> None:
    enqueue_many(redis, "stories", [NewJob(id="a", function=NEVER_IMPORTED, retries=3)])
    assert refused(redis, workers, "a").startswith("The job names 'this.zen', which is not a function")


@pytest.mark.parametrize("which", ["on_success", "on_failure", "on_stopped"])
def test_a_callback_is_refused(redis: Redis, workers: Workers, stories: Queue, which: str) -> None:
    stories.enqueue(f"{HERE}.nothing", job_id="a", **{which: Callback(NEVER_IMPORTED)})
    assert "callback, which this worker does not do" in refused(redis, workers, "a")


def test_webhooks_and_repeats_are_refused(redis: Redis, workers: Workers, stories: Queue) -> None:
    stories.enqueue(f"{HERE}.nothing", job_id="a", webhooks=[Webhook("http://127.0.0.1:1/", "finished")])
    stories.enqueue(f"{HERE}.nothing", job_id="b", repeat=Repeat(times=2))
    assert "webhooks" in refused(redis, workers, "a")
    assert "repeats" in error_of(redis, "b")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return __import__, ("this",)


PAYLOADS = {
    "pickle": zlib.compress(pickle.dumps(Bomb())),
    "raw pickle": pickle.dumps(Bomb()),
    "not compressed, not JSON": b"hello",
    "cut off": zlib.compress(b"[" * 10),
    "another shape": zlib.compress(b'{"function": "a"}'),
    "too few parts": zlib.compress(b"[1, 2]"),
    "deep nesting": zlib.compress(b"[" * 200_000),
    "a zip bomb": zlib.compress(b" " * 50_000_000),
    "an instance": zlib.compress(f'["{HERE}.nothing", "instance", [], {{}}]'.encode()),
    "arguments that are no list": zlib.compress(f'["{HERE}.nothing", null, "abc", {{}}]'.encode()),
    "empty": b"",
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_payload_that_is_not_our_json_is_refused(redis: Redis, workers: Workers, payload: bytes) -> None:
    queue(redis, new("a", "nothing"))
    redis.hset("rq:job:a", "data", payload)
    assert refused(redis, workers, "a").startswith("The job's payload")


@pytest.mark.parametrize("timeout", ["-1", "0", "soon"])
def test_a_timeout_that_is_no_limit_is_refused(redis: Redis, workers: Workers, timeout: str) -> None:
    queue(redis, new("a", "nothing"))
    redis.hset("rq:job:a", "timeout", timeout)
    workers.start(burst=True).join()
    assert status(redis, "a") == "failed"


def test_a_safe_job_never_imports_or_calls_what_its_record_names(redis: Redis, stories: Queue) -> None:
    stories.enqueue(NEVER_IMPORTED, job_id="a", on_failure=Callback(NEVER_IMPORTED))
    job = SafeJob.fetch("a", connection=redis)
    assert job.func_name == NEVER_IMPORTED
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
    with pytest.raises(PermissionError, match="list of functions"):
        job.perform()
    assert "this" not in sys.modules


def test_the_serializer_reads_json_only() -> None:
    assert JsonSerializer.loads(JsonSerializer.dumps(["é", None, 1.5])) == ["é", None, 1.5]
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonSerializer.dumps(float("nan"))
    with pytest.raises(UnicodeDecodeError):
        JsonSerializer.loads(pickle.dumps([1]))


def test_importing_the_package_loads_neither_rq_nor_redis() -> None:
    code = "import sys, fixionmail.jobs.worker; print({'rq', 'redis'} & set(sys.modules))"
    root = Path(__file__).parents[3]
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True).strip() == "set()"


def test_jobs_of_stock_rq_clients_with_json_are_run(redis: Redis, workers: Workers, stories: Queue) -> None:
    job: Job = stories.enqueue(f"{HERE}.add", 4, b=5)
    workers.start(burst=True).join()
    assert job.return_value() == 9
