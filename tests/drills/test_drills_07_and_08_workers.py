"""Drills 7 and 8: a worker dies with a job in hand, and a job hangs past its limit, in RQ's own worker and in ours."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from rq import Queue

from fixionmail.jobs.worker import enqueue_many
from fixionmail.ops.views.findings import Cure, Finding, Harm
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import lines, new, status
from tests.integration.worker.workers import ROOT, Workers

WORKER = "mill-worker"


@contextmanager
def stock_worker(deployment: Deployment, kind: str) -> Iterator[psutil.Process]:
    """A worker of RQ's: ``rq.SimpleWorker`` runs a job in its own process, ``rq.Worker`` in a child."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rq.cli", "worker", "imports", "--url", deployment.redis_url, "--name", WORKER,
         "--worker-class", kind, "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    finally:
        with suppress(psutil.NoSuchProcess):
            for each in psutil.Process(process.pid).children():
                each.kill()
        process.kill()
        process.wait()


def started(deployment: Deployment, *, timeout: int) -> str:
    """The id of a job that sleeps in the worker's hands."""
    job = Queue("imports", connection=deployment.redis).enqueue(time.sleep, 60, job_timeout=timeout)
    until(lambda: deployment.redis.hget(f"rq:job:{job.id}", "status") == b"started", "the start")
    return str(job.id)


class TestDrill7:
    @pytest.mark.parametrize("action", ["requeue", pytest.param("repair-redis", marks=pytest.mark.slow)])
    def test_a_worker_that_died_is_named_with_its_host_and_what_it_held_is_done_once_when_it_is_queued_again(
        self, deployment: Deployment, tmp_path: Path, action: str
    ) -> None:
        notes, gate = tmp_path / "notes", tmp_path / "gate"
        queue = Queue("imports", connection=deployment.redis)
        job = str(queue.enqueue(f"{HERE}.careless", str(notes), str(gate), job_timeout=600).id)
        with stock_worker(deployment, "rq.Worker") as worker:
            until(lambda: lines(notes) == ["begun"], "the start")
            until(lambda: deployment.redis.ttl(f"rq:worker:{WORKER}") <= 90, "its promise to speak up")
            assert not {"worker-quiet", "job-lease-lapsed", "job-overdue"} & deployment.findings().keys()
            for each in (worker, *worker.children()):
                each.kill()
        deployment.pass_redis_time(76)
        quiet = deployment.findings()["worker-quiet"]
        assert (quiet.drill, quiet.harm, quiet.subjects) == (7, Harm.LATE, (WORKER,))
        assert quiet.evidence[0] == f"host {socket.gethostname()}, pid {worker.pid}"
        assert quiet.evidence[1].startswith(f"job {job} on imports, running for 1 min")

        deployment.pass_redis_time(24)
        until(lambda: not deployment.redis.exists(f"rq:worker:{WORKER}"), "the end of its record")
        lost = deployment.findings()["job-lease-lapsed"]
        assert (lost.drill, lost.harm, lost.subjects) == (7, Harm.LATE, ("imports",))
        assert re.fullmatch(r"the oldest started 1 min [45]\d s ago", lost.evidence[0])
        assert lost.evidence[1:] == (f"job {job}, held by worker {WORKER}",)

        cure = lost.cures[0] if action == "repair-redis" else Cure(label="", action=action, targets=(job,))
        assert (cure.action, sum(deployment.run(cure).values())) == (action, 1)
        gate.touch()
        with stock_worker(deployment, "rq.Worker"):
            until(lambda: status(deployment.redis, job) == "finished", "its end")
            assert not {"worker-quiet", "job-lease-lapsed"} & deployment.findings().keys()
        assert lines(notes) == ["begun", "begun", "done"]
        assert deployment.redis.lrange("rq:queue:imports", 0, -1) == []
        assert deployment.redis.zcard("rq:failed:imports") == 0

    def test_what_our_worker_held_that_was_killed_is_queued_again_from_the_same_line_and_done_once(
        self, deployment: Deployment, ours: Workers, tmp_path: Path
    ) -> None:
        notes, gate = tmp_path / "notes", tmp_path / "gate"
        enqueue_many(deployment.redis, "stories", [new("held", "careless", str(notes), str(gate))])
        process = ours.spawn(concurrency=1)
        until(lambda: lines(notes) == ["begun"], "the start")
        process.kill()
        process.wait()
        deployment.pass_redis_time(100)
        finding = deployment.findings()["worker-quiet"]
        assert finding.evidence[0] == f"host {socket.gethostname()}, pid {process.pid}"
        assert finding.cures[0].targets == ("held",)
        assert deployment.cure(finding, "requeue") == {"done": 1}
        gate.touch()
        ours.start(concurrency=1)
        until(lambda: status(deployment.redis, "held") == "finished", "its end")
        assert lines(notes) == ["begun", "begun", "done"]

    def test_while_its_lease_holds_nobody_can_queue_the_job_a_second_time(
        self, deployment: Deployment
    ) -> None:
        with stock_worker(deployment, "rq.SimpleWorker") as worker:
            job = started(deployment, timeout=120)
            worker.kill()
        assert deployment.run(Cure(label="", action="requeue", targets=(job,))) == {"running": 1}
        assert deployment.redis.lrange("rq:queue:imports", 0, -1) == []


class TestDrill8:
    def test_a_job_that_hangs_in_rqs_worker_is_named_with_both_numbers_and_ends_when_it_is_stopped(
        self, deployment: Deployment
    ) -> None:
        with stock_worker(deployment, "rq.Worker") as worker:
            job = started(deployment, timeout=60)
            for horse in worker.children():
                horse.suspend()
            deployment.pass_redis_time(61)
            finding = overdue(deployment, job)
            assert finding.cause.startswith("It has run for 1 min ")
            assert "and may run for 1 min:" in finding.cause
            assert deployment.cure(finding, "stop-job") == {"asked": 1}
            until(lambda: status(deployment.redis, job) == "stopped", "its end")
            assert "job-overdue" not in deployment.findings()

    def test_a_worker_that_is_frozen_with_its_job_stops_the_job_as_soon_as_it_goes_on(
        self, deployment: Deployment
    ) -> None:
        with stock_worker(deployment, "rq.Worker") as worker:
            job = started(deployment, timeout=60)
            horses = worker.children()
            for each in (worker, *horses):
                each.suspend()
            deployment.pass_redis_time(61)
            deployment.cure(overdue(deployment, job), "stop-job")
            assert status(deployment.redis, job) == "started"
            worker.resume()
            until(lambda: status(deployment.redis, job) == "stopped", "its end")
            assert "job-overdue" not in deployment.findings()

    def test_a_job_that_hangs_in_our_worker_ends_at_once_and_what_its_thread_does_later_is_refused(
        self, deployment: Deployment, ours: Workers, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        enqueue_many(
            deployment.redis,
            "stories",
            [new("hangs", "careless", str(tmp_path / "notes"), str(gate), timeout=1)],
        )
        ours.start(concurrency=1, grace_seconds=600.0)
        try:
            finding = overdue(deployment, "hangs")
            assert deployment.cure(finding, "stop-job") == {"asked": 1}
            until(lambda: status(deployment.redis, "hangs") == "stopped", "its end")
            assert "job-overdue" not in deployment.findings()
        finally:
            gate.touch()
        until(lambda: lines(tmp_path / "notes") == ["begun", "done"], "the end of its thread")
        enqueue_many(deployment.redis, "stories", [new("next", "nothing")])
        until(lambda: status(deployment.redis, "next") == "finished", "the next job")
        assert status(deployment.redis, "hangs") == "stopped"

    def test_our_worker_that_is_frozen_with_its_job_stops_the_job_as_soon_as_it_goes_on(
        self, deployment: Deployment, ours: Workers, tmp_path: Path
    ) -> None:
        job = new("hangs", "careless", str(tmp_path / "notes"), str(tmp_path / "gate"), timeout=1)
        enqueue_many(deployment.redis, "stories", [job])
        process = psutil.Process(ours.spawn(concurrency=1, grace_seconds=600.0, drain_seconds=0.1).pid)
        until(lambda: status(deployment.redis, "hangs") == "started", "the start")
        process.suspend()
        deployment.cure(overdue(deployment, "hangs"), "stop-job")
        assert status(deployment.redis, "hangs") == "started"
        process.resume()
        until(lambda: status(deployment.redis, "hangs") == "stopped", "its end")


@pytest.fixture
def ours(deployment: Deployment, tmp_path: Path) -> Iterator[Workers]:
    """Starts workers of ours."""
    running = Workers(deployment.redis_url, tmp_path)
    yield running
    running.close()


def overdue(deployment: Deployment, job: str) -> Finding:
    """The finding that this job runs past its limit, as soon as there is one."""
    finding: Finding = until(lambda: deployment.findings().get("job-overdue"), "the limit")
    assert (finding.drill, finding.subjects) == (8, (job,))
    assert finding.cures[0].action == "stop-job"
    return finding
