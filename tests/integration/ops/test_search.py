"""Searching and grouping: found whatever page it is on, told in steps, ended by not asking for more."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis

from fixionmail.ops.connection import RedisReader
from fixionmail.ops.failures import FailuresStep, grouped
from fixionmail.ops.filters import parse
from fixionmail.ops.search import SearchStep, search

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def add_failed(
    redis: Any, job_id: str, error: str, *, queue: str = "emails", ago: timedelta = timedelta(0)
) -> None:
    at = NOW - ago
    redis.sadd("rq:queues", f"rq:queue:{queue}")
    redis.zadd(f"rq:failed:{queue}", {job_id: at.timestamp() + 1000})
    redis.hset(
        f"rq:job:{job_id}",
        mapping={
            "status": "failed",
            "origin": queue,
            "description": f"shop.tasks.send({job_id!r})",
            "created_at": _text(at),
            "ended_at": _text(at),
        },
    )
    packed = base64.b64encode(zlib.compress(f"Traceback …\n  File x\n{error}\n".encode()))
    redis.xadd(
        f"rq:results:{job_id}", {"type": "2", "exc_string": packed}, id=f"{int(at.timestamp() * 1000)}-0"
    )


def add_waiting(redis: Any, job_id: str, *, ago: timedelta = timedelta(0)) -> None:
    redis.sadd("rq:queues", "rq:queue:emails")
    redis.rpush("rq:queue:emails", job_id)
    redis.hset(
        f"rq:job:{job_id}",
        mapping={
            "status": "queued",
            "origin": "emails",
            "description": f"shop.tasks.Écrire({job_id!r})",
            "created_at": _text(NOW - ago),
            "enqueued_at": _text(NOW - ago),
        },
    )


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def found(reader: RedisReader, text: str, **options: Any) -> list[str]:
    return [row.job_id for step in search(reader, parse(text), NOW, **options) for row in step.rows]


def test_jobs_are_found_by_each_part_of_the_language(redis: Redis, reader: RedisReader) -> None:
    add_failed(redis, "mail-1", "TimeoutError: 30 s")
    add_failed(redis, "mail-2", "ValueError: no title", ago=timedelta(hours=2))
    add_failed(redis, "image-1", "TimeoutError: 20 s", queue="images")
    add_waiting(redis, "mail-3", ago=timedelta(minutes=30))

    assert sorted(found(reader, "err:timeout")) == ["image-1", "mail-1"]
    assert found(reader, "err:timeout queue:images") == ["image-1"]
    assert sorted(found(reader, "id:MAIL")) == ["mail-1", "mail-2", "mail-3"]
    assert found(reader, "state:queued mail") == ["mail-3"]
    assert found(reader, "func:écrire") == ["mail-3"]
    assert found(reader, "func:tasks.send title") == ["mail-2"]
    assert sorted(found(reader, "age>1h")) == ["mail-2"]
    assert found(reader, "age>10m age<1h") == ["mail-3"]
    assert found(reader, 'err:"no title"') == ["mail-2"]
    assert found(reader, "nothing-like-this") == []


def test_a_search_tells_how_far_it_is_and_what_it_cost(redis: Redis, reader: RedisReader) -> None:
    for number in range(120):
        add_waiting(redis, f"job-{number}")

    *_, last = search(reader, parse("id:job-1"), NOW)

    assert (last.searched, last.total, last.found, last.finished) == (120, 120, 31, True)
    assert last.note == ""
    assert last.commands == 2


def test_a_search_ends_at_its_limit_and_says_so(redis: Redis, reader: RedisReader) -> None:
    for number in range(120):
        add_waiting(redis, f"job-{number}")

    *_, last = search(reader, parse("job"), NOW, limit=5)
    assert (last.found, last.finished) == (5, True)
    assert "first 5" in last.note

    *_, last = search(reader, parse("nowhere"), NOW, bound=10)
    assert last.finished
    assert "of 120 jobs were searched" in last.note


def test_a_search_goes_on_only_while_somebody_asks(redis: Redis, reader: RedisReader) -> None:
    for number in range(12_000):
        add_waiting(redis, f"job-{number}") if number % 1000 == 0 else redis.rpush("rq:queue:emails", number)
    steps = search(reader, parse("nowhere"), NOW)
    first = next(steps)
    assert isinstance(first, SearchStep)

    steps.close()
    after_closing = reader.commands

    assert not first.finished
    assert reader.commands == after_closing
    assert first.searched < 12_000


def test_failures_of_one_cause_are_one_group_whatever_ids_they_name(
    redis: Redis, reader: RedisReader
) -> None:
    for number in range(6):
        add_failed(redis, f"mail-{number}", f"TimeoutError: story 4f{number}a77e12 took {number}.5 s")
    add_failed(
        redis, "image-1", "TimeoutError: story 99999999aa took 7 s", queue="images", ago=timedelta(hours=3)
    )
    add_failed(redis, "mail-9", "ValueError: no title")

    last = _all(reader)

    assert [(group.error, group.count) for group in last.groups] == [
        ("TimeoutError: story <id> took <n> s", 7),
        ("ValueError: no title", 1),
    ]
    timeouts = last.groups[0]
    assert timeouts.queues == {"emails": 6, "images": 1}
    assert timeouts.functions == {"shop.tasks.send": 7}
    assert (timeouts.first_at, timeouts.last_at) == (NOW - timedelta(hours=3), NOW)
    assert len(timeouts.per_hour) == 24
    assert (timeouts.per_hour[-1], timeouts.per_hour[-4], sum(timeouts.per_hour)) == (6, 1, 7)
    assert len(timeouts.sample_ids) == 5
    assert (last.searched, last.total) == (8, 8)


def test_failures_of_one_queue_only_are_grouped_when_it_is_named(redis: Redis, reader: RedisReader) -> None:
    add_failed(redis, "mail-1", "TimeoutError: 30 s")
    add_failed(redis, "image-1", "TimeoutError: 20 s", queue="images")

    assert [group.count for group in _all(reader, queue="images").groups] == [1]


def test_failures_that_old_versions_or_nobody_explained_are_grouped_too(
    redis: Any, reader: RedisReader
) -> None:
    redis.sadd("rq:queues", "rq:queue:emails")
    redis.zadd("rq:failed:emails", {"old": 1.0, "mute": 2.0, "ghost": 3.0})
    own = {"exc_info": zlib.compress(b"Traceback\n  File\nKeyError: 7"), "ended_at": _text(NOW)}
    redis.hset("rq:job:old", mapping={"status": "failed", **own})
    redis.hset("rq:job:mute", "status", "failed")

    groups = _all(reader).groups

    assert {group.error: group.count for group in groups} == {
        "KeyError: <n>": 1,
        "(no error is on record)": 2,
    }
    assert next(group for group in groups if group.error == "KeyError: <n>").last_at == NOW


def test_no_failures_are_no_groups(redis: Redis, reader: RedisReader) -> None:
    assert _all(reader) == FailuresStep(groups=(), searched=0, total=0, commands=1, finished=True)


def _all(reader: RedisReader, **options: Any) -> FailuresStep:
    *_, last = grouped(reader, NOW, **options)
    return last
