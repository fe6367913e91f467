"""One job with every place that holds it, what happened to it and what it carries."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from fixionmail.jobs.worker import enqueue_many
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.job_detail import detail
from fixionmail.ops.views.jobs import JobDetail
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import new, status
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


class StockWorker(SimpleWorker):  # type: ignore[misc, unused-ignore]
    """rq's own worker, for a test's thread."""

    death_penalty_class = TimerDeathPenalty


def shown(reader: RedisReader, job_id: str) -> JobDetail:
    found = detail(reader, job_id)
    assert found is not None
    return found


def test_an_id_that_nothing_knows_is_nothing(redis: Redis, reader: RedisReader) -> None:
    assert detail(reader, "nobody") is None


def test_a_failed_job_of_ours_shows_payload_error_and_attempts(
    redis: Redis, reader: RedisReader, workers: Workers
) -> None:
    enqueue_many(redis, "stories", [new("a-job", "boom")])
    worker = workers.start(burst=True)
    worker.join()

    job = shown(reader, "a-job")

    assert (job.state, job.queue, job.function) == ("failed", "stories", f"{HERE}.boom")
    assert json.loads(job.payload) == [f"{HERE}.boom", None, [], {}]
    assert job.error.splitlines()[0] == "Traceback (most recent call last):"
    assert job.error.rstrip().endswith("ValueError: the mill is broken")
    assert job.worker == worker.name
    (place,) = job.places
    assert place.startswith("failed on stories, kept until ")
    (attempt,) = job.attempts
    assert f"failed on {worker.name} after 0.0 s: ValueError: the mill is broken" in attempt
    assert job.ttl_seconds is not None
    assert [event.what for event in job.timeline[-2:]][-1] in ("result: failed", "last sign of life")
    assert job.meta["timeout"] == "60"


def test_a_running_job_shows_its_execution(
    redis: Redis, reader: RedisReader, workers: Workers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    enqueue_many(redis, "stories", [new("a-job", "careless", str(tmp_path / "notes"), str(gate))])
    worker = workers.start()
    try:
        eventually(lambda: status(redis, "a-job") == "started", "it has started")
        job = shown(reader, "a-job")
    finally:
        gate.touch()

    assert job.state == "started"
    assert any(event.what.endswith(f"by {worker.name} begins") for event in job.timeline)
    assert job.places[0].startswith("started on stories, kept until ")


def test_a_waiting_job_shows_its_position_its_dependents_and_its_meta(
    redis: Redis, reader: RedisReader
) -> None:
    queue = Queue("reports", connection=redis, serializer=JSONSerializer)
    queue.enqueue(f"{HERE}.add", 1, 2)
    job = queue.enqueue(f"{HERE}.add", 3, b=4, job_id="a-job", meta={"step": "draft", "n": [1]})
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="child", depends_on=job)

    waiting = shown(reader, "a-job")

    assert waiting.places == ("queued on reports, 2 of 2 from the head",)
    assert json.loads(waiting.payload) == [f"{HERE}.add", None, [3], {"b": 4}]
    assert (waiting.meta["meta.step"], waiting.meta["meta.n"]) == ("draft", "[1]")
    assert waiting.dependents == ("child",)
    assert shown(reader, "child").depends_on == ("a-job",)
    assert waiting.ttl_seconds is None


def test_pickles_are_never_read(redis: Any, reader: RedisReader) -> None:
    Queue("reports", connection=redis).enqueue("os.system", "true", job_id="a-job", meta={"x": 1})
    redis.hset("rq:job:a-job", "data", zlib.compress(b"\x80\x04cos\nsystem\n."))

    job = shown(reader, "a-job")

    assert job.payload == "pickled, 14 bytes, not read" or job.payload.startswith("pickled, ")
    assert job.meta["meta"].startswith("pickled, ")
    assert job.function == "os.system"


def test_a_job_of_rq_2_is_shown_in_full(old_deployment: Redis, reader: RedisReader) -> None:
    broken, running = shown(reader, "broken"), shown(reader, "first")

    assert broken.payload.startswith("pickled, ")
    assert broken.error.rstrip().endswith("ZeroDivisionError: division by zero")
    assert len(broken.attempts) == 1
    assert running.places[0].startswith("started on reports, kept until ")
    assert running.dependents == ("second",)
    assert shown(reader, "tomorrow").places[0].startswith("scheduled on mails, to run at ")
    assert shown(reader, "waiting").places == ("limbo on mails, 1 of 1 from the head",)
    assert shown(reader, "unwanted").places[0].startswith("canceled on mails")


def test_every_place_that_holds_a_job_is_named(redis: Any, reader: RedisReader) -> None:
    Queue("reports", connection=redis).enqueue(f"{HERE}.add", 1, 2, job_id="a-job")
    redis.rpush("rq:queue:reports", "a-job")
    redis.zadd("rq:failed:reports", {"a-job": -1})
    redis.sadd("rq:queues", "rq:queue:mails")
    redis.rpush("rq:queue:mails:intermediate", "a-job")

    assert sorted(shown(reader, "a-job").places) == [
        "failed on reports",
        "limbo on mails, 1 of 1 from the head",
        "queued on reports, 1 of 2 from the head",
        "queued on reports, 2 of 2 from the head",
    ]


@pytest.mark.parametrize("job_id", ["a-job", "a:job", "a*[j]ob\\"])
def test_a_lease_that_no_execution_names_any_more_is_named_and_those_of_other_jobs_are_not(
    redis: Any, reader: RedisReader, job_id: str
) -> None:
    redis.sadd("rq:queues", "rq:queue:reports")
    redis.hset(f"rq:job:{job_id}", mapping={"status": "started", "origin": "reports"})
    leases = {
        f"{job_id}:{'e' * 32}": 1900000000,
        f"{job_id}:other:{'e' * 32}": 1,
        f"an{job_id}:{'e' * 32}": 2,
    }
    redis.zadd("rq:wip:reports", leases | {f"another-{n}:{'e' * 32}": n for n in range(1000)})

    assert shown(reader, job_id).places == ("started on reports, kept until 2030-03-17 17:46:40 UTC",)


def test_a_lease_that_an_execution_names_is_told_of_once(redis: Any, reader: RedisReader) -> None:
    redis.hset("rq:job:a-job", mapping={"status": "started", "origin": "reports"})
    redis.zadd("rq:executions:a-job", {"run": 1900000000})
    redis.zadd("rq:wip:reports", {"a-job:run": 1900000000})

    assert shown(reader, "a-job").places == ("started on reports, kept until 2030-03-17 17:46:40 UTC",)


def test_an_id_without_a_record_that_something_holds_is_shown(redis: Any, reader: RedisReader) -> None:
    redis.sadd("rq:queues", "rq:queue:mails")
    redis.rpush("rq:queue:mails", "ghost")

    ghost = shown(reader, "ghost")

    assert (ghost.state, ghost.places) == ("no record", ("queued on mails, 1 of 1 from the head",))


def test_a_payload_of_ten_megabytes_is_counted_and_not_shown(redis: Any, reader: RedisReader) -> None:
    Queue("reports", connection=redis).enqueue(f"{HERE}.add", 1, 2, job_id="a-job")
    redis.hset("rq:job:a-job", mapping={"data": b"[" * 10_000_000, "meta": b"\x00" * 2_000_000})

    job = shown(reader, "a-job")

    assert job.payload == "10000000 bytes, too many to show"
    assert job.function == f"{HERE}.add"


def test_a_bomb_of_zeros_is_unpacked_only_so_far(redis: Any, reader: RedisReader) -> None:
    redis.hset("rq:job:a-job", mapping={"status": "queued", "data": zlib.compress(b"[" + b" " * 100_000_000)})

    assert shown(reader, "a-job").payload.startswith("JSON that is too long or broken, ")


def test_the_order_of_events_is_that_of_time(old_deployment: Redis, reader: RedisReader) -> None:
    moments = [event.at or datetime.min.replace(tzinfo=UTC) for event in shown(reader, "broken").timeline]

    assert moments == sorted(moments)


def test_results_that_a_stock_worker_left_are_attempts(redis: Redis, reader: RedisReader) -> None:
    queue = Queue("reports", connection=redis)
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="a-job")
    StockWorker([queue], connection=redis, name="stock").work(burst=True)

    job = shown(reader, "a-job")

    assert job.state == "finished"
    assert "succeeded on stock" in job.attempts[0]
