"""Pages of jobs: newest first, true totals, one command at any depth, and no entry lost or doubled on the way."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from fixionmail.errors import InputError
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.pages import page
from tests.integration.worker.functions import HERE


def queue_up(redis: Any, queue: str, ids: list[str]) -> None:
    """Waiting jobs, each queued a second after the one before."""
    redis.sadd("rq:queues", f"rq:queue:{queue}")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for at, job_id in enumerate(ids):
        text = f"{began + timedelta(seconds=at):%Y-%m-%dT%H:%M:%S.%fZ}"
        redis.hset(
            f"rq:job:{job_id}",
            mapping={"status": "queued", "origin": queue, "created_at": text, "enqueued_at": text},
        )
        redis.rpush(f"rq:queue:{queue}", job_id)


def fail(redis: Any, queue: str, scores: dict[str, float]) -> None:
    redis.sadd("rq:queues", f"rq:queue:{queue}")
    redis.zadd(f"rq:failed:{queue}", scores)
    for job_id in scores:
        redis.hset(f"rq:job:{job_id}", mapping={"status": "failed", "origin": queue})


def ids_of(reader: RedisReader, limit: int, **options: Any) -> list[str]:
    """The ids on all pages, one after another."""
    found: list[str] = []
    after = ""
    while True:
        shown = page(reader, limit=limit, after=after, **options)
        found += [row.job_id for row in shown.rows]
        after = shown.next
        if not after:
            return found


def test_waiting_jobs_are_listed_from_the_tail_of_their_queue(redis: Redis, reader: RedisReader) -> None:
    queue_up(redis, "emails", [f"job-{n}" for n in range(7)])

    first = page(reader, states=("queued",), limit=3)

    assert [row.job_id for row in first.rows] == ["job-6", "job-5", "job-4"]
    assert first.total == 7
    assert ids_of(reader, 3, states=("queued",)) == [f"job-{n}" for n in range(6, -1, -1)]


def test_several_queues_are_merged_by_age(redis: Redis, reader: RedisReader) -> None:
    queue_up(redis, "emails", ["e0", "e1", "e2", "e3"])
    queue_up(redis, "stories", ["s0", "s1"])

    assert set(ids_of(reader, 2, states=("queued",))[-4:]) == {"e0", "e1", "s0", "s1"}
    assert ids_of(reader, 2, states=("queued",))[:2] == ["e3", "e2"]
    assert ids_of(reader, 2, states=("queued",), queue="stories") == ["s1", "s0"]


def test_every_job_is_on_exactly_one_page_over_all_states(redis: Redis, reader: RedisReader) -> None:
    queue = Queue("reports", connection=redis)
    waiting = {queue.enqueue(f"{HERE}.add", 1, 2).id for _ in range(20)}
    scheduled = {queue.enqueue_in(timedelta(hours=1), f"{HERE}.add", 1, 2).id for _ in range(20)}
    fail(redis, "reports", {f"failed-{n}": 1000.0 + n for n in range(20)})

    found = ids_of(reader, 7)

    assert len(found) == 60
    assert set(found) == waiting | scheduled | {f"failed-{n}" for n in range(20)}


def test_entries_of_one_score_are_all_shown_once(redis: Redis, reader: RedisReader) -> None:
    fail(redis, "emails", {f"job-{n:03}": -1.0 for n in range(100)})

    assert ids_of(reader, 9, states=("failed",)) == [f"job-{n:03}" for n in range(99, -1, -1)]


def test_scores_with_fractions_of_a_second_repeat_no_row_of_several_queues(
    redis: Redis, reader: RedisReader
) -> None:
    for queue in range(4):
        fail(redis, f"q-{queue}", {f"{queue}-{n:02}": 1764000836.123456 + n / 7 for n in range(30)})

    found = ids_of(reader, 25, states=("failed",))

    assert len(found) == 120
    assert len(set(found)) == 120


def test_a_page_goes_on_behind_an_entry_that_is_gone(redis: Any, reader: RedisReader) -> None:
    fail(redis, "emails", {f"job-{n}": 5.0 if n < 6 else 9.0 for n in range(10)})
    first = page(reader, states=("failed",), limit=5)
    assert [row.job_id for row in first.rows][-1] == "job-5"

    redis.zrem("rq:failed:emails", "job-5", "job-8")
    fail(redis, "emails", {"newer": 99.0})

    assert [row.job_id for row in page(reader, states=("failed",), after=first.next).rows] == [
        f"job-{n}" for n in range(4, -1, -1)
    ]


def test_a_page_goes_on_where_it_was_while_workers_take_jobs_and_others_come(
    redis: Any, reader: RedisReader
) -> None:
    queue_up(redis, "emails", [f"job-{n}" for n in range(20)])
    first = page(reader, states=("queued",), limit=5)

    redis.lpop("rq:queue:emails", 10)
    redis.rpush("rq:queue:emails", "newer-1", "newer-2")

    following = page(reader, states=("queued",), limit=50, after=first.next)
    assert [row.job_id for row in following.rows] == [f"job-{n}" for n in range(14, 9, -1)]
    assert following.next == ""


def test_a_page_behind_the_head_of_a_queue_is_empty(redis: Any, reader: RedisReader) -> None:
    queue_up(redis, "emails", [f"job-{n}" for n in range(20)])
    first = page(reader, states=("queued",), limit=5)

    redis.delete("rq:queue:emails")

    assert page(reader, states=("queued",), after=first.next).rows == ()


def test_any_page_costs_one_command(redis: Redis, reader: RedisReader) -> None:
    queue_up(redis, "emails", [f"job-{n}" for n in range(200)])
    shown = page(reader, limit=10)
    for _ in range(15):
        before = reader.commands
        shown = page(reader, limit=10, after=shown.next)
        assert reader.commands - before == 1
    assert shown.rows[0].job_id == "job-49"


def test_a_started_job_is_named_without_its_execution(redis: Any, reader: RedisReader) -> None:
    redis.sadd("rq:queues", "rq:queue:emails")
    redis.zadd("rq:wip:emails", {"a-job:0123": time.time() + 60, "from-rq-1": time.time() + 60})

    assert {row.job_id for row in page(reader, states=("started",)).rows} == {"a-job", "from-rq-1"}


def test_a_failed_row_shows_the_last_line_of_its_error(old_deployment: Redis, reader: RedisReader) -> None:
    (row,) = page(reader, states=("failed",)).rows

    assert (row.job_id, row.queue, row.function) == ("broken", "mails", "operator.truediv")
    assert row.summary == "ZeroDivisionError: division by zero"
    assert row.worker == "old-worker"
    assert row.at is not None


def test_an_error_in_the_jobs_own_record_is_shown_as_old_versions_left_it(
    redis: Any, reader: RedisReader
) -> None:
    fail(redis, "emails", {"old": 1.0})
    redis.hset("rq:job:old", "exc_info", "Traceback …\nKeyError: 'plain'")

    assert page(reader, states=("failed",)).rows[0].summary == "KeyError: 'plain'"


def test_a_row_without_a_record_says_so(redis: Any, reader: RedisReader) -> None:
    redis.sadd("rq:queues", "rq:queue:emails")
    redis.rpush("rq:queue:emails", "ghost")

    (row,) = page(reader).rows

    assert (row.job_id, row.broken) == ("ghost", "There is no record of this job.")


@pytest.mark.parametrize("after", ["nonsense", "eJwDAAAAAAE=", "…", "W10="])
def test_a_place_that_is_none_of_ours_is_refused(reader: RedisReader, after: str) -> None:
    with pytest.raises(InputError, match="no place to go on from"):
        page(reader, after=after)
