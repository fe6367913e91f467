"""rq's commands act on this worker as on any other."""

from __future__ import annotations

from pathlib import Path

from redis import Redis
from rq import Queue
from rq.command import send_command, send_shutdown_command, send_stop_execution_command, send_stop_job_command
from rq.job import cancel_job
from rq.suspension import resume, suspend

from fixionmail.jobs.worker import JsonSerializer
from tests.integration.worker.jobs import error_of, held, lines, listens, new, queue, status, stored
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def stop(redis: Redis, job_id: str) -> None:
    send_stop_job_command(redis, job_id, serializer=JsonSerializer)


def test_a_running_job_is_stopped_and_its_thread_comes_back(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    queue(redis, new("a", "careful", str(tmp_path / "notes"), 60.0, retries=3))
    worker = workers.start(concurrency=1)
    eventually(lambda: lines(tmp_path / "notes"), "the job runs")
    eventually(lambda: listens(redis, worker.name), "the worker listens")
    stop(redis, "a")
    eventually(lambda: status(redis, "a") == "stopped", "it is stopped")
    assert "stopped by command" in error_of(redis, "a")
    queue(redis, new("b", "nothing"))
    eventually(lambda: status(redis, "b") == "finished", "its slot is free again")
    assert lines(tmp_path / "notes") == ["begun"]


def test_one_of_many_running_executions_is_stopped(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    queue(redis, *held(tmp_path / "notes", gate, [f"c{i}" for i in range(5)]))
    worker = workers.start()
    eventually(lambda: redis.zcard("rq:wip:stories") == 5, "the jobs run")
    eventually(lambda: listens(redis, worker.name), "the worker listens")
    (execution,) = stored(redis, "c2").get_executions()
    send_stop_execution_command(redis, "c2", execution.id)
    eventually(lambda: status(redis, "c2") == "stopped", "it is stopped")
    gate.touch()
    eventually(lambda: redis.zcard("rq:finished:stories") == 4, "the others are finished")
    assert status(redis, "c2") == "stopped"


def test_an_unknown_or_damaged_command_is_ignored(redis: Redis, workers: Workers) -> None:
    worker = workers.start()
    channel = f"rq:pubsub:{worker.name}"
    eventually(lambda: redis.publish(channel, "not JSON") == 1, "the worker listens")
    send_command(redis, worker.name, "kill-horse")
    redis.publish(channel, '["command"]')
    queue(redis, new("a", "nothing"))
    eventually(lambda: status(redis, "a") == "finished", "the worker works on")


def test_the_shutdown_command_ends_the_worker_with_0(redis: Redis, workers: Workers) -> None:
    worker = workers.start()
    eventually(lambda: listens(redis, worker.name), "the worker listens")
    send_shutdown_command(redis, worker.name)
    assert worker.join() == 0
    assert redis.scard("rq:workers") == 0


def test_nothing_is_taken_while_rq_is_suspended(redis: Redis, workers: Workers) -> None:
    suspend(redis)
    worker = workers.start()
    queue(redis, new("a", "nothing"))
    eventually(lambda: redis.hget(f"rq:worker:{worker.name}", "state") == b"suspended", "it shows so")
    assert status(redis, "a") == "queued"
    resume(redis)
    eventually(lambda: status(redis, "a") == "finished", "it takes the job again")
    eventually(lambda: redis.hget(f"rq:worker:{worker.name}", "state") == b"idle", "it shows so")


def test_a_burst_does_not_wait_for_a_suspension_to_end(redis: Redis, workers: Workers) -> None:
    suspend(redis)
    queue(redis, new("a", "nothing"))
    assert workers.start(burst=True).join() == 0
    assert status(redis, "a") == "queued"


def test_a_job_cancelled_in_its_queue_is_not_run(redis: Redis, workers: Workers, tmp_path: Path) -> None:
    queue(redis, new("a", "note", str(tmp_path / "notes"), "ran"))
    redis.rpush("rq:queue:stories", "a", "never-existed")  # a second time, and one whose record is gone
    cancel_job("a", connection=redis, serializer=JsonSerializer)
    workers.start(burst=True).join()
    assert lines(tmp_path / "notes") == []
    assert status(redis, "a") == "canceled"
    assert redis.llen("rq:queue:stories") == 0


def test_a_job_cancelled_or_deleted_while_it_runs_stays_so(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    names = ("cancelled", "deleted")
    queue(redis, *(new(name, "careless", str(tmp_path / "notes"), str(gate)) for name in names))
    worker = workers.start()
    eventually(lambda: len(lines(tmp_path / "notes")) == 2, "both run")
    cancel_job("cancelled", connection=redis, serializer=JsonSerializer)
    stored(redis, "deleted").delete()
    gate.touch()
    eventually(lambda: redis.scard(f"rq:worker:{worker.name}:executions") == 0, "both are over")
    assert status(redis, "cancelled") == "canceled"
    assert status(redis, "deleted") == "gone"
    assert redis.zcard("rq:wip:stories") == 0
    assert not redis.exists("rq:results:deleted", "rq:results:cancelled")


def test_a_dependent_job_is_run_when_its_parent_has_ended(redis: Redis, workers: Workers) -> None:
    stories = Queue("stories", connection=redis, serializer=JsonSerializer)
    workers.start()
    parent = stories.enqueue("tests.integration.worker.functions.nothing")
    child = stories.enqueue("tests.integration.worker.functions.nothing", depends_on=parent)
    eventually(lambda: child.get_status() == "finished", "the child is finished")
