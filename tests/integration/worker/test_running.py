"""What a worker does with the jobs of its queues."""

from __future__ import annotations

from pathlib import Path

from redis import Redis

from fixionmail.jobs.worker.fairness import QueueOrder
from tests.integration.worker.jobs import error_of, lines, new, notes, queue, status, stored
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def test_a_job_is_run_and_rq_reads_its_result(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "add", 2, 3))
    assert workers.start(burst=True).join() == 0
    job = stored(redis, "a")
    assert job.is_finished
    assert job.return_value() == 5


def test_a_waiting_worker_hears_of_a_new_job(redis: Redis, workers: Workers) -> None:
    workers.start()
    eventually(lambda: redis.scard("rq:workers") == 1, "the worker is registered")
    queue(redis, new("a", "add", 2, 3), on="emails")
    eventually(lambda: status(redis, "a") == "finished", "the job is finished")


def test_an_exception_makes_a_failed_job_with_its_traceback(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "boom"))
    workers.start(burst=True).join()
    assert status(redis, "a") == "failed"
    assert "in boom" in error_of(redis, "a")
    assert "ValueError: the mill is broken" in error_of(redis, "a")
    assert redis.zscore("rq:failed:stories", "a") is not None


def test_a_failed_job_with_retries_is_run_again(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "boom", retries=2))
    workers.start(burst=True).join()
    minute_counts = [redis.hgetall(key) for key in redis.scan_iter("fm:stats:stories:*")]
    assert sum(int(counts.get(b"started", 0)) for counts in minute_counts) == 3
    assert status(redis, "a") == "failed"


def test_a_result_that_json_cannot_say_is_named_so_and_the_job_is_finished(
    redis: Redis, workers: Workers
) -> None:
    queue(redis, new("a", "unserializable"))
    workers.start(burst=True).join()
    assert stored(redis, "a").return_value() == "Unserializable return value"


def test_as_many_jobs_run_at_once_as_there_are_slots(redis: Redis, workers: Workers) -> None:
    queue(redis, *(new(f"m{i}", "meet_nineteen_others") for i in range(20)))
    workers.start(burst=True, concurrency=20).join()
    assert redis.zcard("rq:finished:stories") == 20


def test_no_more_jobs_are_claimed_than_there_are_slots(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    gate = str(tmp_path / "gate")
    queue(redis, *(new(f"c{i}", "careless", str(tmp_path / "notes"), gate) for i in range(5)))
    workers.start(concurrency=2)
    eventually(lambda: len(lines(tmp_path / "notes")) == 2, "both slots are busy")
    assert redis.zcard("rq:wip:stories") == 2
    assert redis.llen("rq:queue:stories") == 3
    Path(gate).touch()
    eventually(lambda: redis.zcard("rq:finished:stories") == 5, "all are finished")


def test_emails_go_before_stories(redis: Redis, workers: Workers, tmp_path: Path) -> None:
    queue(redis, *notes(tmp_path / "notes", [f"story{i}" for i in range(5)]))
    queue(redis, *notes(tmp_path / "notes", [f"email{i}" for i in range(5)]), on="emails")
    workers.start(burst=True, concurrency=1).join()
    assert [line[:5] for line in lines(tmp_path / "notes")] == ["email"] * 5 + ["story"] * 5


def test_a_tenth_of_the_slots_is_kept_for_a_later_queue() -> None:
    order = QueueOrder(("emails", "stories"), 50)
    assert order.plan(8, {"emails": 42, "stories": 3}) == [("stories", 2), ("emails", 8), ("stories", 8)]
    assert order.plan(8, {"emails": 30, "stories": 12}) == [("emails", 8), ("stories", 8)]


def test_with_few_slots_every_tenth_plan_begins_with_a_later_queue() -> None:
    order = QueueOrder(("emails", "stories"), 1)
    first_places = [order.plan(1, {})[0][0] for _ in range(20)]
    assert first_places.count("stories") == 2


def test_a_job_knows_its_execution_and_its_worker(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "who_am_i"))
    worker = workers.start(burst=True)
    worker.join()
    result = stored(redis, "a").latest_result()
    assert result is not None
    assert result.return_value == ["a", result.execution_id, worker.name, "stories"]


def test_a_job_can_ask_how_much_of_its_timeout_is_left(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "time_left", timeout=60))
    workers.start(burst=True).join()
    assert 50 < stored(redis, "a").return_value() <= 60


def test_counters_per_queue_and_minute_tell_what_happened(redis: Redis, workers: Workers) -> None:
    queue(redis, new("a", "nothing"), new("b", "nothing"), new("c", "boom"))
    workers.start(burst=True).join()
    totals: dict[str, int] = {}
    for key in redis.scan_iter("fm:stats:stories:*"):
        assert 0 < redis.ttl(key) <= 7200
        for name, amount in redis.hgetall(key).items():
            totals[name.decode()] = totals.get(name.decode(), 0) + int(amount)
    assert totals.keys() == {"enqueued", "started", "finished", "failed", "wait_ms", "run_ms"}
    assert (totals["enqueued"], totals["started"], totals["finished"], totals["failed"]) == (3, 3, 2, 1)


def test_a_burst_ends_with_0_and_a_worker_that_has_run_its_jobs_asks_to_be_replaced(
    redis: Redis, workers: Workers
) -> None:
    queue(redis, *(new(f"n{i}", "nothing") for i in range(10)))
    assert workers.start(max_jobs=4).join() == 75
    assert redis.llen("rq:queue:stories") == 6
    assert workers.start(burst=True).join() == 0
    assert redis.zcard("rq:finished:stories") == 10
