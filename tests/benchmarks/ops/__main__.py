"""What looking costs at 1,000,000 jobs, beside ``rq info`` and rq-dashboard in the same run.

    python -m tests.benchmarks.ops [--jobs 1000000] [--rounds 9]

A Valkey of its own, 6 queues, 50 workers, all states; each contestant on the machine itself and through a proxy with a
round trip of 30 ms. Prints medians; compare the ratios, not the times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask
from redis import Redis

from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.failures import grouped
from fixionmail.ops.filters import parse
from fixionmail.ops.pages import page
from fixionmail.ops.search import search
from fixionmail.ops.snapshot import Observer
from tests.benchmarks.ops.distance import DistantProxy
from tests.benchmarks.ops.seeding import seed
from tests.integration.worker.servers import RedisServer

ROUND_TRIP_SECONDS = 0.03
DEEP_PAGE = 1000
Action = Callable[[], object]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)  # rq-dashboard never closes its connection
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            _run(server, wanted.jobs, wanted.rounds)
        finally:
            server.kill()


def _run(server: RedisServer, jobs: int, rounds: int) -> None:
    redis: Any = Redis.from_url(server.url, socket_timeout=60)
    seed(redis, jobs, datetime.now(UTC))
    redis.config_set("slowlog-log-slower-than", 5000)
    redis.config_set("slowlog-max-len", 10_000)
    far = DistantProxy(server.port, ROUND_TRIP_SECONDS)
    writes = {
        str(name).lower() for name, about in redis.command().items() if "write" in map(str, about["flags"])
    }
    table = Table(redis, server.url, far.url, rounds, writes)
    print(
        f"a busy loop on this machine is held up for {longest_pause() * 1000:.1f} ms at times, by other work"
    )
    print(f"{jobs:,} jobs, {redis.dbsize():,} keys, {redis.info('memory')['used_memory_human']}")
    print(f"{'':<44} {'here, ms':>9} {'30 ms away':>10} {'commands':>8} {'blocks, ms':>10} {'writes':>6}")
    table.row("FixionMail: refresh", _refresh)
    table.row("FixionMail: first page of failed jobs", _first_page)
    table.row(f"FixionMail: page {DEEP_PAGE:,} of failed jobs", _deep_page)
    table.row(f"FixionMail: page {DEEP_PAGE:,} of all states", _deep_page_of_all)
    table.row("FixionMail: group all failures", _group, rounds=3)
    table.row("FixionMail: search an id in all jobs", _search, rounds=1)
    table.row("FixionMail: audit", _audit, rounds=1)
    table.row("rq-dashboard: queues and workers", _dashboard, rounds=3)
    table.row("rq-dashboard: first page of failed jobs", _dashboard_page, rounds=3)
    table.row("rq info", _rq_info, rounds=1)


class Table:
    """Measures one action after another, here and through the proxy, and prints a line for each."""

    def __init__(self, redis: Any, here: str, far: str, rounds: int, writes: set[str]) -> None:
        self._redis, self._here, self._far, self._rounds, self._writes = redis, here, far, rounds, writes

    def row(self, name: str, prepare: Callable[[str], Action], *, rounds: int | None = None) -> None:
        """``prepare`` makes the action for a URL; only the action itself is measured."""
        near, far = prepare(self._here), prepare(self._far)
        near()
        commands, block, writes = self._cost(near)
        here, away = (_median(action, rounds or self._rounds) for action in (near, far))
        print(
            f"{name:<44} {here * 1000:>9,.1f} {away * 1000:>10,.1f} {commands:>8,} {block:>10.1f} {writes:>6,}",
            flush=True,
        )

    def _cost(self, action: Action) -> tuple[int, float, int]:
        """Commands that clients sent, the longest of them in ms (at least 5), and calls that write."""
        self._redis.slowlog_reset()
        self._redis.config_resetstat()
        action()
        stats = {
            name.removeprefix("cmdstat_"): row["calls"]
            for name, row in self._redis.info("commandstats").items()
        }
        scripts = [count for name, count in stats.items() if name.startswith("eval")]
        sent = sum(scripts) if scripts else sum(count for name, count in stats.items() if name not in _OWN)
        slow = [entry["duration"] / 1000 for entry in self._redis.slowlog_get(10_000)]
        return sent, max(slow, default=0.0), sum(stats.get(name, 0) for name in self._writes)


_OWN = ("config|resetstat", "info", "slowlog|get", "slowlog|reset")
"""What the measuring itself sends."""


def longest_pause(seconds: float = 3.0) -> float:
    """How long a process that never waits is kept from running: so much a block may be longer than its work."""
    longest, before = 0.0, time.perf_counter()
    ends_at = before + seconds
    while before < ends_at:
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    return longest


def _median(action: Action, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


# ---- ours ------------------------------------------------------------------------------------------------------------


def _refresh(url: str) -> Action:
    observer = Observer(redis_url=url)
    observer.look()
    return observer.look


def _first_page(url: str) -> Action:
    reader = RedisReader(url)
    return lambda: page(reader, states=("failed",))


def _deep_page(url: str) -> Action:
    reader = RedisReader(url)
    after = _place_of_page(url, ("failed",))
    return lambda: page(reader, states=("failed",), after=after)


def _deep_page_of_all(url: str) -> Action:
    reader = RedisReader(url)
    after = _place_of_page(url, None)
    return lambda: page(reader, after=after)


def _place_of_page(url: str, states: tuple[str, ...] | None) -> str:
    reader, after = RedisReader(url), ""
    only: dict[str, Any] = {"states": states} if states else {}
    for _ in range(DEEP_PAGE * 50 // 1000):
        after = page(reader, limit=1000, after=after, **only).next
    return after


def _group(url: str) -> Action:
    reader = RedisReader(url)
    return lambda: list(grouped(reader, datetime.now(UTC)))


def _search(url: str) -> Action:
    reader = RedisReader(url)
    return lambda: list(search(reader, parse("id:stories-queued-00000007"), datetime.now(UTC)))


def _audit(url: str) -> Action:
    reader = RedisReader(url)
    return lambda: list(audit(reader))


# ---- others ----------------------------------------------------------------------------------------------------------


def _dashboard(url: str) -> Action:
    client = _dashboard_client(url)
    return lambda: [_got(client, f"/0/data/{what}.json") for what in ("queues", "workers")]


def _dashboard_page(url: str) -> Action:
    client = _dashboard_client(url)
    return lambda: _got(client, "/0/data/jobs/stories/failed/50/dsc/1.json")


def _got(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)


def _dashboard_client(url: str) -> Any:
    from rq_dashboard import default_settings, web  # type: ignore[import-untyped]

    app = Flask(__name__)
    app.config.from_object(default_settings)
    app.config["RQ_DASHBOARD_REDIS_URL"] = url
    web.setup_rq_connection(app)
    app.register_blueprint(web.blueprint)
    return app.test_client()


def _rq_info(url: str) -> Action:
    command = [str(Path(sys.executable).with_name("rq")), "info", "--url", url]
    return lambda: subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))


if __name__ == "__main__":
    main()
