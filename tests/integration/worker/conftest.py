"""Fixtures: a server per test process, empty for each test, and workers that are always stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.worker.servers import RedisServer
from tests.integration.worker.workers import Workers


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis(shared_server: RedisServer) -> Iterator[Redis]:
    """A client of an empty server."""
    with Redis.from_url(shared_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own that keeps every write, to be killed and started again."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, durable=True)
    server.start()
    yield server
    server.resume()
    server.kill()


@pytest.fixture
def own_redis(own_server: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(own_server.url) as client:
        yield client


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file whose coming lets the jobs that wait for it go on, at the latest at the end of the test."""
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def workers(redis: Redis, shared_server: RedisServer, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(shared_server.url, tmp_path)
    yield running
    running.close()


@pytest.fixture
def own_workers(own_server: RedisServer, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(own_server.url, tmp_path)
    yield running
    running.close()
