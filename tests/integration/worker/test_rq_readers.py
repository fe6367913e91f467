"""rq's classes, its command line and rq-dashboard show this worker's states."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from rq import Queue, Worker
from rq.command import send_stop_job_command
from rq.suspension import suspend

from fixionmail.jobs.worker import JsonSerializer
from tests.integration.worker.jobs import lines, listens, new, queue, status
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import ROOT, RunningWorker, Workers


@pytest.fixture
def busy(redis: Redis, workers: Workers, gate: Path, tmp_path: Path) -> RunningWorker:
    """A worker that runs one job, has finished, failed and stopped one, and holds the last slot back."""
    notes = str(tmp_path / "notes")
    queue(redis, new("finished", "add", 2, 3), new("failed", "boom"), new("stopped", "careful", notes, 60.0))
    worker = workers.start(concurrency=4)
    eventually(lambda: lines(tmp_path / "notes"), "the job to be stopped runs")
    eventually(lambda: listens(redis, worker.name), "the worker listens")
    send_stop_job_command(redis, "stopped", serializer=JsonSerializer)
    queue(redis, new("running", "careless", notes, str(gate)))
    eventually(lambda: len(lines(tmp_path / "notes")) == 2, "the job runs")
    for job_id in ("finished", "failed", "stopped"):
        eventually(lambda job_id=job_id: status(redis, job_id) == job_id, f"{job_id} is {job_id}")
    eventually(lambda: redis.scard("rq:workers") == 1, "the worker is registered")
    return worker


def rq(url: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "rq.cli", *arguments, "--url", url]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_rq_sees_the_worker_its_state_and_what_it_runs(redis: Redis, busy: RunningWorker) -> None:
    (worker,) = Worker.all(connection=redis, serializer=JsonSerializer)
    assert worker.name == busy.name
    assert worker.get_state() == "busy"
    assert worker.queue_names() == ["emails", "stories"]
    assert (worker.successful_job_count, worker.failed_job_count) == (1, 2)
    (execution,) = worker.get_current_executions()
    assert execution.job_id == "running"
    assert worker.get_current_job_id() == "running"


def test_rq_finds_each_job_in_the_registry_of_its_state(redis: Redis, busy: RunningWorker) -> None:
    stories = Queue("stories", connection=redis, serializer=JsonSerializer)
    assert stories.started_job_registry.get_job_ids() == ["running"]
    assert stories.finished_job_registry.get_job_ids() == ["finished"]
    assert set(stories.failed_job_registry.get_job_ids()) == {"failed", "stopped"}
    for job_id in ("running", "finished", "failed", "stopped"):
        job = stories.fetch_job(job_id)
        assert job is not None
        assert job.get_status() == ("started" if job_id == "running" else job_id)


def test_rq_info_shows_worker_and_queues_and_changes_nothing(
    redis: Redis, busy: RunningWorker, workers: Workers
) -> None:
    shown = rq(workers.url, "info", "--raw")
    assert f"worker {busy.name}" in shown
    assert "busy" in shown
    assert "queue stories 0" in shown
    assert status(redis, "running") == "started"


def test_rq_info_shows_a_suspended_worker(redis: Redis, workers: Workers) -> None:
    workers.start()
    eventually(lambda: redis.scard("rq:workers") == 1, "the worker is registered")
    rq(workers.url, "suspend")
    queue(redis, new("a", "nothing"))
    eventually(lambda: "suspended" in rq(workers.url, "info", "--raw"), "rq info shows it")


def test_rq_requeue_runs_a_failed_job_again(redis: Redis, busy: RunningWorker, workers: Workers) -> None:
    before = redis.xlen("rq:results:failed")
    rq(
        workers.url,
        *("requeue", "--queue", "stories", "failed", "--serializer", "fixionmail.jobs.worker.JsonSerializer"),
    )
    eventually(lambda: redis.xlen("rq:results:failed") == before + 1, "it has failed once more")


@pytest.fixture
def dashboard(workers: Workers) -> Any:
    """A test client of rq-dashboard's pages."""
    from rq_dashboard import default_settings, web

    app = Flask(__name__)
    app.config.from_object(default_settings)
    app.config["RQ_DASHBOARD_REDIS_URL"] = workers.url
    web.setup_rq_connection(app)
    web.config.serializer = JsonSerializer  # what its --serializer option does
    app.register_blueprint(web.blueprint)
    return app.test_client()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # rq-dashboard never closes its connection
@pytest.mark.parametrize(
    ("registry", "job_id"),
    [("started", "running"), ("finished", "finished"), ("failed", "failed"), ("failed", "stopped")],
)
def test_rq_dashboard_lists_the_jobs_of_each_state(
    busy: RunningWorker, dashboard: Any, registry: str, job_id: str
) -> None:
    answer = dashboard.get(f"/0/data/jobs/stories/{registry}/8/asc/1.json")
    assert answer.status_code == 200
    assert job_id in {job["id"] for job in answer.get_json()["jobs"]}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_rq_dashboard_shows_queues_and_workers(redis: Redis, workers: Workers, dashboard: Any) -> None:
    worker = workers.start()
    eventually(lambda: redis.hget(f"rq:worker:{worker.name}", "state") == b"idle", "the worker is registered")
    suspend(redis)
    queue(redis, new("waiting", "nothing"))
    queues = dashboard.get("/0/data/queues.json").get_json()["queues"]
    assert {entry["name"]: entry["count"] for entry in queues} == {"stories": 1}
    shown = dashboard.get("/0/data/workers.json").get_json()["workers"]
    assert [entry["name"] for entry in shown] == [worker.name]
    assert dashboard.get("/0/view/job/waiting").status_code == 200
