"""Jobs that take too long, threads that do not come back, and a process in which nothing moves."""

from __future__ import annotations

from pathlib import Path

from redis import Redis

from tests.integration.worker.jobs import error_of, lines, new, queue, status
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def test_a_job_that_looks_at_its_deadline_fails_when_it_is_over(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    queue(redis, new("a", "careful", str(tmp_path / "notes"), 60.0, timeout=1))
    workers.start(burst=True).join()
    assert "DeadlineExceededError: The time allowed for this work is over." in error_of(redis, "a")
    assert lines(tmp_path / "notes") == ["begun"]


def test_a_job_that_does_not_look_is_reported_with_its_stack_and_its_late_result_is_refused(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    queue(redis, new("a", "careless", str(tmp_path / "notes"), str(gate), timeout=1))
    worker = workers.start(grace_seconds=0.2)
    eventually(lambda: status(redis, "a") == "failed", "it is reported")
    assert "ran longer than its 1 s" in error_of(redis, "a")
    assert "in careless" in error_of(redis, "a")
    gate.touch()
    eventually(lambda: lines(tmp_path / "notes") == ["begun", "done"], "it ends all the same")
    assert worker.stop() == 0
    assert status(redis, "a") == "failed"
    assert redis.xlen("rq:results:a") == 1


def test_a_stuck_thread_costs_one_slot_until_it_is_back(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    queue(redis, new("a", "careless", str(tmp_path / "notes"), str(gate), timeout=1))
    workers.start(concurrency=2, grace_seconds=0.2, max_stuck=2)
    eventually(lambda: status(redis, "a") == "failed", "it is reported")
    second_gate = tmp_path / "second"
    queue(redis, *(new(f"c{i}", "careless", str(tmp_path / "b"), str(second_gate)) for i in range(2)))
    eventually(lambda: len(lines(tmp_path / "b")) == 1, "the other slot works")
    assert redis.llen("rq:queue:stories") == 1
    gate.touch()
    eventually(lambda: len(lines(tmp_path / "b")) == 2, "the slot is back")
    second_gate.touch()
    eventually(lambda: redis.zcard("rq:finished:stories") == 2, "both are done")


def test_too_many_stuck_threads_have_the_process_replaced(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    stuck = [new(f"c{i}", "careless", str(tmp_path / "notes"), str(gate), timeout=1) for i in range(2)]
    queue(redis, *stuck)
    process = workers.spawn(grace_seconds=0.2, max_stuck=2)
    assert process.wait(60) == 75
    assert "2 threads outlived their jobs" in workers.log()
    assert redis.zcard("rq:failed:stories") == 2


def test_the_watchdog_ends_a_process_in_which_nothing_moves_any_more(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    queue(redis, new("a", "hold_the_interpreter", str(tmp_path / "notes")))
    process = workers.spawn(watchdog_seconds=4.0)
    assert process.wait(60) == 1
    assert "Timeout (0:00:04)!" in workers.log()
    assert "in hold_the_interpreter" in workers.log()


def test_the_end_of_a_job_whose_lease_has_passed_on_is_refused(
    redis: Redis, workers: Workers, tmp_path: Path, gate: Path
) -> None:
    queue(redis, new("a", "careless", str(tmp_path / "notes"), str(gate)))
    worker = workers.start()
    eventually(lambda: lines(tmp_path / "notes"), "it runs")
    redis.delete("rq:wip:stories")
    gate.touch()
    eventually(lambda: redis.scard(f"rq:worker:{worker.name}:executions") == 0, "it is over")
    assert lines(tmp_path / "notes") == ["begun", "done"]
    assert status(redis, "a") == "started"
    assert not redis.exists("rq:results:a")
