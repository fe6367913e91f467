"""Drills 7 and 8 on RQ's own worker: it dies with a job in hand, and it hangs past the job's limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from rq import Queue

from fixionmail.ops.views import Harm
from tests.drills.conftest import Deployment
from tests.drills.test_drills_05_to_13_work import until

WORKER = "mill-worker"


@pytest.fixture
def worker(deployment: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of RQ's, which runs what it takes in its own process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rq.cli", "worker", "imports", "--url", deployment.redis_url, "--name", WORKER,
         "--worker-class", "rq.SimpleWorker", "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()


def started(deployment: Deployment, *, timeout: int) -> str:
    """The id of a job that sleeps in the worker's hands."""
    job = Queue("imports", connection=deployment.redis).enqueue(time.sleep, 60, job_timeout=timeout)
    until(lambda: deployment.redis.hget(f"rq:job:{job.id}", "status") == b"started", "the start")
    return str(job.id)


def test_drill_7_a_worker_that_died_is_named_with_its_host_and_job_which_is_queued_again(
    deployment: Deployment, worker: subprocess.Popen[bytes]
) -> None:
    job = started(deployment, timeout=120)
    assert not {"worker-died", "worker-quiet", "job-overdue"} & deployment.findings().keys()
    worker.kill()
    worker.wait()
    deployment.redis.hset(f"rq:worker:{WORKER}", "last_heartbeat", "2020-01-01T00:00:00.000000Z")
    deployment.redis.persist(
        f"rq:worker:{WORKER}"
    )  # its record outlives it here, so that its host can be told
    finding = deployment.findings()["worker-died"]
    assert (finding.drill, finding.harm, finding.subjects) == (7, Harm.LATE, (WORKER,))
    assert f"pid {worker.pid}" in finding.evidence[0]
    assert finding.evidence[1].startswith(f"job {job} on imports, running for ")
    assert next(cure for cure in finding.cures if cure.action == "requeue").targets == (job,)


def test_drill_8_a_job_that_runs_past_its_limit_is_named_with_both_numbers(
    deployment: Deployment, worker: subprocess.Popen[bytes]
) -> None:
    job = started(deployment, timeout=1)
    os.kill(worker.pid, signal.SIGSTOP)
    until(lambda: "job-overdue" in deployment.findings(), "the limit")
    finding = deployment.findings()["job-overdue"]
    assert (finding.drill, finding.subjects) == (8, (job,))
    assert finding.cause.startswith("It has run for ")
    assert "and may run for 1 s" in finding.cause
    assert finding.cures[0].action == "stop-job"
