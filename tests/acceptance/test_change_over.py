"""Redis goes away and comes back while everything runs: the loops take over and hand back by themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from fixionmail.demo import count_mails
from fixionmail.processes import redis as local_redis
from tests.acceptance.readers import add_reader_due_now, written
from tests.commands import run, running, until

TICK = {"CHECK_INTERVAL_SECONDS": "1"}


@pytest.fixture
def redis_home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "redis home"
    yield home
    local_redis.stop(home)


@contextmanager
def deployment(home: Path, **known: str) -> Iterator[None]:
    with ExitStack() as stack:
        for kind in ("scheduler", "delivery", "worker"):
            stack.enter_context(running(home, "run", kind, **known))
        yield


def mode(home: Path, **known: str) -> str:
    return str(run(home, "status", "--json", **known).json()["mode"])


def test_stories_are_written_while_redis_is_dead_and_by_workers_again_when_it_is_back(
    tmp_path: Path, redis_home: Path, database_url: str
) -> None:
    home = tmp_path / "home"
    server = local_redis.start(redis_home)
    known = {"DATABASE_URL": database_url, "REDIS_URL": server.url, "WORKER_CONCURRENCY": "4", **TICK}
    with deployment(home, **known):
        add_reader_due_now(home, "before@example.com", **known)
        until(lambda: written(home, **known) == 1, "the first story")
        assert mode(home, **known) == "queue"

        psutil.Process(server.pid).send_signal(signal.SIGKILL)
        add_reader_due_now(home, "during@example.com", **known)
        until(lambda: written(home, **known) == 2, "a story without Redis")
        until(lambda: mode(home, **known) == "fallback", "fallback to be reported")

        again = local_redis.start(redis_home, port=server.port)
        assert again.url == server.url
        until(lambda: mode(home, **known) == "queue", "queue mode to be reported")
        add_reader_due_now(home, "after@example.com", **known)
        until(lambda: written(home, **known) == 3, "a story from a worker again")
    assert set(count_mails(home / "outbox").values()) <= {1}
