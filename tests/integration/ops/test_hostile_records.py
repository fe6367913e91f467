"""Records that are broken, garbage or hostile: each costs itself only, and every look goes on."""

from __future__ import annotations

import base64
import os
import random
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.failures import fingerprint, grouped
from fixionmail.ops.filters import parse
from fixionmail.ops.job_detail import detail
from fixionmail.ops.pages import page
from fixionmail.ops.redis_look import look
from fixionmail.ops.search import search

NASTY = (
    b"",
    b"\x00\xff\xfe\x80",
    b"[/] [red]x[/red] <script>alert(1)</script> \x1b[31m",
    "שלום ‮ 😀 line\nbreak".encode(),
    b"x\x9c not zlib",
    b"\x80\x05cos\nsystem\n(S'true'\ntR.",
    b"-1e999",
    b"nan",
    b"9" * 400,
    b"9999-99-99T99:99:99Z",
    b"[" * 100_000,
)
FIELDS = (
    *(
        "status",
        "origin",
        "description",
        "created_at",
        "enqueued_at",
        "started_at",
        "ended_at",
        "data",
        "meta",
    ),
    *("exc_info", "worker_name", "timeout", "number_of_retries", "dependency_ids", "last_heartbeat"),
)
REGISTRIES = ("wip", "failed", "finished", "deferred", "scheduled", "canceled")
NOW = datetime.now(UTC)


def look_at_everything(reader: RedisReader, *job_ids: str) -> None:
    """Every kind of look there is; none may raise."""
    look(reader)
    shown = page(reader, limit=5)
    while shown.next:
        shown = page(reader, limit=5, after=shown.next)
    list(search(reader, parse("err:x y"), NOW))
    list(search(reader, parse("age>1m z"), NOW))
    list(grouped(reader, NOW))
    list(audit(reader))
    for job_id in job_ids:
        detail(reader, job_id)


def test_any_bytes_in_any_field_are_borne(redis: Any, reader: RedisReader) -> None:
    chance = random.Random(11)
    redis.sadd("rq:queues", "rq:queue:reports")
    for number in range(60):
        job_id = f"job-{number}"
        redis.hset(f"rq:job:{job_id}", mapping={field: chance.choice(NASTY) for field in FIELDS})
        redis.rpush("rq:queue:reports", job_id)
        redis.rpush("rq:queue:reports:intermediate", job_id)
        for registry in REGISTRIES:
            redis.zadd(
                f"rq:{registry}:reports", {job_id: chance.choice((-1.0, 0.0, 1e308, float("inf"), 12.5))}
            )
        redis.xadd(f"rq:results:{job_id}", {"type": chance.choice(NASTY), "exc_string": chance.choice(NASTY)})
    redis.sadd("rq:workers", "rq:worker:odd")
    fields = (
        "hostname",
        "pid",
        "state",
        "queues",
        "birth",
        "last_heartbeat",
        "version",
        "fm_slots",
        "current_job",
    )
    redis.hset("rq:worker:odd", mapping={field: chance.choice(NASTY) for field in fields})
    redis.hset("fm:paused", "reports", b"\xff{")
    redis.hset(f"fm:stats:reports:{int(time.time() // 60)}", mapping={"finished": b"many", "failed": b"-inf"})

    look_at_everything(reader, *(f"job-{number}" for number in range(60)))

    assert next(queue.waiting for queue in look(reader).queues if queue.name == "reports") == 60


def test_ids_and_names_may_be_any_bytes(redis: Any, reader: RedisReader) -> None:
    for name in NASTY[1:7]:
        redis.sadd("rq:queues", b"rq:queue:" + name)
        redis.rpush(b"rq:queue:" + name, name, b"a b", b"c:d:e")
        redis.zadd(b"rq:failed:" + name, {name: 1.0})
        redis.sadd("rq:workers", b"rq:worker:" + name)

    look_at_everything(reader, "a b", "c:d:e")

    assert sum(queue.waiting for queue in look(reader).queues) == 18
    assert page(reader, states=("queued",), limit=1000).total == 18


@pytest.mark.parametrize("wrong", ["string", "list", "set", "zset", "hash", "stream"])
def test_a_key_of_the_wrong_type_costs_itself_only(redis: Any, reader: RedisReader, wrong: str) -> None:
    redis.sadd("rq:queues", "rq:queue:reports", "rq:queue:broken")
    redis.rpush("rq:queue:reports", "fine", "odd")
    redis.hset("rq:job:fine", mapping={"status": "queued", "origin": "reports", "description": "a.b()"})
    redis.sadd("rq:workers", "rq:worker:odd")
    names = [f"rq:{registry}:broken" for registry in REGISTRIES]
    names += [
        "rq:queue:broken",
        "rq:queue:broken:intermediate",
        "rq:job:odd",
        "rq:results:odd",
        "rq:executions:odd",
    ]
    names += [
        "rq:worker:odd",
        "rq:worker:odd:executions",
        "fm:paused",
        f"fm:stats:reports:{int(time.time() // 60)}",
    ]
    for name in names:
        _make(redis, name, wrong)

    look_at_everything(reader, "fine", "odd")

    seen = look(reader)
    assert {queue.name: queue.waiting for queue in seen.queues}["reports"] == 2
    assert seen.redis.broken
    assert len(set(seen.redis.broken)) == len(seen.redis.broken)
    assert [row.broken != "" for row in page(reader, states=("queued",), queue="reports").rows] == [
        True,
        False,
    ]


@pytest.mark.parametrize("wrong", ["string", "list", "hash"])
def test_registers_of_queues_and_workers_of_the_wrong_type_are_named(
    redis: Any, reader: RedisReader, wrong: str
) -> None:
    _make(redis, "rq:queues", wrong)
    _make(redis, "rq:workers", wrong)

    look_at_everything(reader)

    assert set(look(reader).redis.broken) == {"rq:queues", "rq:workers"}


def test_a_redis_that_is_not_rqs_is_borne(redis: Redis, reader: RedisReader) -> None:
    for number in range(50):
        redis.set(f"session:{number}", os.urandom(100))

    look_at_everything(reader, "session:1")

    seen = look(reader)
    assert (seen.redis.rq_layout, seen.queues, seen.workers, seen.redis.keys) == ("foreign", (), (), 50)


def test_markup_comes_through_as_it_stands(redis: Any, reader: RedisReader) -> None:
    redis.sadd("rq:queues", "rq:queue:[/]")
    redis.rpush("rq:queue:[/]", "x")
    redis.hset("rq:job:x", mapping={"status": "queued", "description": "<b>[red]</b>('[/]')"})

    (row,) = page(reader).rows

    assert (row.queue, row.function) == ("[/]", "<b>[red]</b>('[/]')")


def test_a_result_from_the_far_future_is_counted_without_a_moment(redis: Any, reader: RedisReader) -> None:
    redis.sadd("rq:queues", "rq:queue:reports")
    redis.zadd("rq:failed:reports", {"a": 1.0})
    redis.xadd("rq:results:a", {"type": "2", "exc_string": "x"}, id="18446744073709551615-0")

    *_, last = grouped(reader, NOW)

    assert [(group.count, group.last_at) for group in last.groups] == [(1, None)]
    assert detail(reader, "a") is not None


def test_errors_of_any_kind_have_a_fingerprint() -> None:
    for raw in NASTY:
        mark, error = fingerprint(raw.decode("utf-8", "replace"))
        assert len(mark) == 12
        assert error
    assert fingerprint("T\n  File x\nE: a\nmore 7")[1] == "E: … more <n>"
    assert fingerprint("x" * 100_000)[1] == "x" * 300


def test_a_packed_error_that_is_no_zlib_is_shown_as_far_as_it_can_be(redis: Any, reader: RedisReader) -> None:
    redis.sadd("rq:queues", "rq:queue:reports")
    redis.zadd("rq:failed:reports", {"a": 1.0})
    redis.hset("rq:job:a", "status", "failed")
    redis.xadd("rq:results:a", {"type": "2", "exc_string": base64.b64encode(b"KeyError: plain")})

    assert page(reader, states=("failed",)).rows[0].summary == "KeyError: plain"


def _make(redis: Any, key: str, kind: str) -> None:
    redis.delete(key)
    match kind:
        case "string":
            redis.set(key, b"\xffx")
        case "list":
            redis.rpush(key, b"\xffx")
        case "set":
            redis.sadd(key, b"\xffx")
        case "zset":
            redis.zadd(key, {b"\xffx": 1})
        case "hash":
            redis.hset(key, b"\xffx", b"\xffx")
        case _:
            redis.xadd(key, {b"\xffx": b"\xffx"})
