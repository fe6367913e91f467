"""Fixtures: one server for all of these tests, empty for each, a reader of it, and what a real rq 2.12 left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from fixionmail.ops.connection import RedisReader
from tests.integration.worker.servers import RedisServer
from tests.integration.worker.workers import Workers

RECORDED = Path(__file__).parents[2] / "data" / "rq-2.12" / "keys.json"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """A client of an empty server."""
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def reader(redis: Redis, server: RedisServer) -> Iterator[RedisReader]:
    """What is tested: a reader of that server."""
    reading = RedisReader(server.url)
    yield reading
    reading.close()


@pytest.fixture
def workers(redis: Redis, server: RedisServer, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(server.url, tmp_path)
    yield running
    running.close()


@pytest.fixture
def old_deployment(redis: Any) -> Any:
    """Everything that a real rq 2.12 left in Redis; its worker has just spoken, and its lease holds."""
    for key, recorded in json.loads(RECORDED.read_text()).items():
        _restore(redis, key, recorded["type"], recorded["value"])
        if recorded["ttl_ms"] > 0:
            redis.pexpire(key, recorded["ttl_ms"])
    now = time.gmtime()
    redis.hset("rq:worker:busy-worker", "last_heartbeat", time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", now))
    (lease,) = redis.zrange("rq:wip:reports", 0, -1)
    redis.zadd("rq:wip:reports", {lease: int(time.time()) + 90})
    return redis


def _restore(redis: Any, key: str, kind: str, value: Any) -> None:
    match kind:
        case "hash":
            redis.hset(key, mapping={field.encode("latin-1"): raw.encode("latin-1") for field, raw in value})
        case "zset":
            redis.zadd(key, dict(value))
        case "list":
            redis.rpush(key, *value)
        case "set":
            redis.sadd(key, *value)
        case "stream":
            for at, fields in value:
                redis.xadd(key, dict(fields), id=at)
        case _:
            redis.set(key, value)
