"""Redis goes away and comes back while everything runs: the loops take over and hand back by themselves."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixionmail.demo import count_mails
from fixionmail.processes import redis as local_redis
from tests.commands import run, running, until

TICK = {"CHECK_INTERVAL_SECONDS": "1"}


@pytest.fixture
def redis_home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "redis home"
    yield home
    local_redis.stop(home)


@contextmanager
def deployment(home: Path, redis_url: str) -> Iterator[None]:
    with ExitStack() as stack:
        for kind in ("scheduler", "delivery", "worker"):
            stack.enter_context(
                running(home, "run", kind, REDIS_URL=redis_url, WORKER_CONCURRENCY="4", **TICK)
            )
        yield


def add_reader_due_now(home: Path, name: str, **settings: str) -> None:
    # Due within the next minute, and begun at once: the lead is half an hour.
    at = time.strftime("%H:%M", time.gmtime(time.time() + 60))
    due = ("--timezone", "UTC", "--delivery-time", at)
    ended = run(home, "subscribers", "add", f"{name}@example.com", *due, **settings)
    assert ended.code == 0, ended


def status(home: Path, redis_url: str) -> Any:
    return run(home, "status", "--json", REDIS_URL=redis_url).json()


def written(home: Path, redis_url: str) -> int:
    return int(status(home, redis_url)["funnel"]["written"])


def test_stories_are_written_while_redis_is_dead_and_by_workers_again_when_it_is_back(
    tmp_path: Path, redis_home: Path
) -> None:
    home = tmp_path / "home"
    server = local_redis.start(redis_home)
    with deployment(home, server.url):
        add_reader_due_now(home, "before")
        until(lambda: written(home, server.url) == 1, "the first story")
        assert status(home, server.url)["mode"] == "queue"

        psutil.Process(server.pid).send_signal(signal.SIGKILL)
        add_reader_due_now(home, "during")
        until(lambda: written(home, server.url) == 2, "a story without Redis")
        until(lambda: status(home, server.url)["mode"] == "fallback", "fallback to be reported")

        again = local_redis.start(redis_home, port=server.port)
        assert again.url == server.url
        until(lambda: status(home, server.url)["mode"] == "queue", "queue mode to be reported")
        add_reader_due_now(home, "after")
        until(lambda: written(home, server.url) == 3, "a story from a worker again")
    assert set(count_mails(home / "outbox").values()) <= {1}
