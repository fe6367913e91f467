"""Each change beside what the library of rq does to a like job: what keys are left, and what its worker does then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.group import Group
from rq.job import Job
from rq.rate_limit import RateLimit
from rq.repeat import Repeat
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from fixionmail.ops.actions import Hands
from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from tests.integration.ops.acting import act
from tests.integration.worker.functions import HERE
from tests.integration.worker.servers import RedisServer

MOMENTS = {b"created_at", b"enqueued_at", b"started_at", b"ended_at"}
CLEARED = {b"exc_info", b"last_heartbeat", b"worker_name"}
"""What a requeue of rq's leaves of the run before, and ours clears."""


class StockWorker(SimpleWorker):  # type: ignore[misc, unused-ignore]
    """rq's own worker, without signals."""

    death_penalty_class = TimerDeathPenalty


@pytest.fixture
def hands(
    redis: Redis, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hands]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with closing(Hands(redis_url=server.url)) as opened:
        yield opened


def work_off(redis: Redis) -> None:
    queue = Queue("imports", connection=redis)
    StockWorker([queue], connection=redis).work(burst=True, logging_level="CRITICAL")


# ---- How a job may have come to be -----------------------------------------------------------------------------------


def waiting(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.nothing", job_id=name)


def failed(queue: Queue, name: str, **options: Any) -> None:
    queue.enqueue(f"{HERE}.boom", job_id=name, **options)
    work_off(queue.connection)


def finished(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.nothing", job_id=name, result_ttl=900)
    work_off(queue.connection)


def canceled(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.nothing", job_id=name).cancel()


def scheduled(queue: Queue, name: str) -> None:
    queue.enqueue_in(timedelta(hours=1), f"{HERE}.nothing", job_id=name)


def between_two_attempts(queue: Queue, name: str) -> None:
    failed(queue, name, retry=Retry(max=2, interval=3600))


def out_of_attempts(queue: Queue, name: str) -> None:
    failed(queue, name, retry=Retry(max=1))


def to_be_repeated(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.nothing", job_id=name, repeat=Repeat(times=3, interval=3600))
    work_off(queue.connection)


def waited_for(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.nothing", job_id=name)
    queue.enqueue(f"{HERE}.nothing", job_id=f"child-of-{name}", depends_on=name)


def failed_and_waited_for(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.boom", job_id=name)
    queue.enqueue(f"{HERE}.nothing", job_id=f"child-of-{name}", depends_on=name)
    work_off(queue.connection)


def deferred(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.nothing", job_id=name, depends_on=f"parent-of-{name}")


def failed_in_a_group(queue: Queue, name: str) -> None:
    call = Queue.prepare_data(f"{HERE}.boom", job_id=name)
    Group(connection=queue.connection, name="party").enqueue_many(queue, [call])
    work_off(queue.connection)


def unique(queue: Queue, name: str) -> None:
    queue.enqueue(f"{HERE}.boom", job_id=name, unique=True)
    work_off(queue.connection)


def mortal(queue: Queue, name: str) -> None:
    failed(queue, name, ttl=900, failure_ttl=300)


FAILED = (failed, out_of_attempts, failed_and_waited_for, failed_in_a_group, unique, mortal)
RESTING = (waiting, scheduled, deferred, waited_for, between_two_attempts)
ENDED = (finished, canceled)
Make = Callable[[Queue, str], None]


def both(redis: Redis, make: Make) -> None:
    queue = Queue("imports", connection=redis)
    for name in ("ours", "theirs"):
        make(queue, name)


def left_of(redis: Any, name: str) -> dict[str, Any]:
    """Every key that names the job or holds its id, as it is when it is called X."""
    found: dict[str, Any] = {}
    for raw in redis.scan_iter():
        key = raw.decode().replace(name, "X")
        if key.startswith(("rq:worker", "rq:clean", "rq:results")):
            continue
        match redis.type(raw):
            case b"hash" if key == "rq:job:X":
                found[key] = {
                    field: "a moment" if field in MOMENTS and value else value.replace(name.encode(), b"X")
                    for field, value in redis.hgetall(raw).items()
                    if field not in CLEARED and field != b"data"
                }
            case b"hash" | b"string" | b"stream" if "X" in key:
                found[key] = "there"
            case b"list" if name.encode() in redis.lrange(raw, 0, -1):
                found[key] = "holds it"
            case b"set" if redis.sismember(raw, name):
                found[key] = "holds it"
            case b"zset" if redis.zscore(raw, name) is not None:
                found[key] = "holds it"
    return found


def assert_alike(redis: Redis, reader: RedisReader) -> None:
    ours, theirs = left_of(redis, "ours"), left_of(redis, "theirs")
    assert ours == theirs
    *_, last = audit(reader)
    assert last.findings == ()


@pytest.mark.parametrize("make", FAILED)
def test_a_failed_job_is_requeued_as_rq_requeues_it_and_run_by_its_worker(
    redis: Any, hands: Hands, reader: RedisReader, make: Make
) -> None:
    both(redis, make)
    assert act(hands, "requeue", "ours") == {"ours": "done"}
    Job.fetch("theirs", connection=redis).requeue()
    assert_alike(redis, reader)
    runs = redis.xlen("rq:results:ours")
    work_off(redis)
    assert redis.xlen("rq:results:ours") == runs + 1
    assert left_of(redis, "ours") == left_of(redis, "theirs")


@pytest.mark.parametrize("make", [*RESTING, *FAILED])
def test_a_job_that_has_not_ended_well_is_cancelled_as_rq_cancels_it(
    redis: Any, hands: Hands, reader: RedisReader, make: Make
) -> None:
    both(redis, make)
    assert act(hands, "cancel", "ours") == {"ours": "done"}
    Job.fetch("theirs", connection=redis).cancel()
    assert_alike(redis, reader)


@pytest.mark.parametrize("make", [*RESTING, *FAILED, *ENDED])
def test_any_job_is_deleted_as_rq_deletes_it(
    redis: Any, hands: Hands, reader: RedisReader, make: Make
) -> None:
    both(redis, make)
    assert act(hands, "delete", "ours") == {"ours": "done"}
    Job.fetch("theirs", connection=redis).delete()
    assert_alike(redis, reader)


def test_a_repeated_job_is_taken_out_of_where_it_finished_too_which_rq_forgets(
    redis: Any, hands: Hands
) -> None:
    both(redis, to_be_repeated)
    act(hands, "delete", "ours")
    Job.fetch("theirs", connection=redis).delete()
    assert left_of(redis, "ours") == {}
    assert left_of(redis, "theirs") == {"rq:finished:imports": "holds it"}


def test_a_requeued_job_does_not_expire_as_a_failed_one_does_which_rq_lets_it(
    redis: Any, hands: Hands
) -> None:
    both(redis, failed)
    act(hands, "requeue", "ours")
    Job.fetch("theirs", connection=redis).requeue()
    assert redis.ttl("rq:job:ours") == -1
    assert redis.ttl("rq:job:theirs") > 0


# ---- RQ's limit on jobs of a kind under way at once ------------------------------------------------------------------


LIMIT = RateLimit(key="shop", concurrency=1)


def limited(redis: Redis, *names: str, function: str = "nothing") -> None:
    for name in names:
        Queue("imports", connection=redis).enqueue(f"{HERE}.{function}", job_id=name, rate_limit=LIMIT)


def let_through(redis: Any) -> list[bytes]:
    ids: list[bytes] = redis.zrange("rq:rl:shop:allowed", 0, -1)
    return ids


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_a_job_that_is_taken_out_lets_the_next_of_its_kind_through(
    redis: Any, hands: Hands, reader: RedisReader, action: str
) -> None:
    limited(redis, "first", "second", "third")
    assert act(hands, action, "first", "third") == {"first": "done", "third": "done"}
    assert let_through(redis) == redis.lrange("rq:queue:imports", 0, -1) == [b"second"]
    assert redis.zcard("rq:rl:shop:rate_limited") == 0
    work_off(redis)
    assert Job.fetch("second", connection=redis).get_status() == "finished"


def test_a_requeued_job_waits_until_there_is_room_for_it(redis: Any, hands: Hands) -> None:
    limited(redis, "failed", function="boom")
    work_off(redis)
    limited(redis, "waits")
    assert act(hands, "requeue", "failed") == {"failed": "done"}
    assert let_through(redis) == redis.lrange("rq:queue:imports", 0, -1) == [b"waits"]
    assert Job.fetch("failed", connection=redis).get_status() == "rate_limited"
    assert act(hands, "requeue", "failed") == {"failed": "queued"}
    work_off(redis)
    assert redis.xlen("rq:results:failed") == 2
    assert let_through(redis) == []


def test_a_requeued_job_for_which_there_is_room_is_queued_at_once(redis: Any, hands: Hands) -> None:
    limited(redis, "failed", function="boom")
    work_off(redis)
    assert act(hands, "requeue", "failed") == {"failed": "done"}
    assert let_through(redis) == redis.lrange("rq:queue:imports", 0, -1) == [b"failed"]
