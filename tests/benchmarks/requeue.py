"""Requeueing 100,000 failed jobs, beside ``rq requeue --all`` on fewer of the same, scaled up.

    python -m tests.benchmarks.requeue [--jobs 100000] [--rq-jobs 2000] [--rounds 3]

A Valkey of its own. Prints how long it takes, the commands, and how long Redis was held up at most by one of them, as
its own slow log tells.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis import Redis

from fixionmail.ops import actions
from fixionmail.subscribers.service import Operator
from tests.benchmarks.ops.__main__ import longest_pause
from tests.integration.worker.servers import RedisServer

QUEUE = "reports"
PIPELINED = 5000
_OWN = ("config", "info", "slowlog")
"""What the measuring itself sends."""
_PAYLOAD = zlib.compress(pickle.dumps(("shop.tasks.work", None, ("an-id",), {})))
_ORDER = actions.Order(operator=Operator(name="benchmark", host="here"), reason="a benchmark")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What requeueing came to."""

    seconds: float
    commands: int
    slow_ms: list[float]
    """Commands that took half a millisecond or more, the longest last."""


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rq-jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            _run(server, wanted.jobs, wanted.rq_jobs, wanted.rounds, Path(folder))
        finally:
            server.kill()


def _run(server: RedisServer, jobs: int, rq_jobs: int, rounds: int, folder: Path) -> None:
    redis: Any = Redis.from_url(server.url, socket_timeout=60)
    redis.config_set("slowlog-max-len", 100_000)
    ours, theirs = [], []
    for _ in range(rounds):
        ids = _seed(redis, jobs)
        ours.append(_measure(redis, lambda ids=ids: _requeue(server.url, ids, folder)))
        assert redis.llen(f"rq:queue:{QUEUE}") == jobs
        _seed(redis, rq_jobs)
        theirs.append(_measure(redis, lambda: _rq_requeue(server.url)))
        assert redis.llen(f"rq:queue:{QUEUE}") == rq_jobs
    print(
        f"a busy loop on this machine is held up for {longest_pause() * 1000:.1f} ms at times, by other work"
    )
    print("| | seconds | commands a job | 99 of 100 commands took at most, ms | longest, ms |")
    print("|---|---|---|---|---|")
    _print(f"FixionMail, {jobs:,} jobs", ours, jobs, 1)
    _print(f"rq requeue --all, {rq_jobs:,} jobs scaled up", theirs, jobs, jobs / rq_jobs)


def _print(name: str, costs: list[Cost], jobs: int, scale: float) -> None:
    seconds = statistics.median(cost.seconds for cost in costs) * scale
    commands = statistics.median(cost.commands for cost in costs) * scale / jobs
    slow = sorted(took for cost in costs for took in cost.slow_ms) or [0.0]
    quick = sum(cost.commands for cost in costs) - len(slow)
    most = slow[max(0, int((quick + len(slow)) * 0.99) - quick)]
    print(f"| {name} | {seconds:,.2f} | {commands:.3f} | {most:.1f} | {slow[-1]:.1f} |", flush=True)


def _measure(redis: Any, action: Any) -> Cost:
    redis.config_set("slowlog-log-slower-than", 500)
    redis.slowlog_reset()
    redis.config_resetstat()
    began = time.perf_counter()
    action()
    seconds = time.perf_counter() - began
    slow = [entry["duration"] / 1000 for entry in redis.slowlog_get(100_000)]
    stats = {name.removeprefix("cmdstat_"): row["calls"] for name, row in redis.info("commandstats").items()}
    scripts = sum(count for name, count in stats.items() if name.startswith("eval"))
    commands = scripts or sum(count for name, count in stats.items() if not name.startswith(_OWN))
    redis.config_set("slowlog-log-slower-than", -1)
    return Cost(seconds=seconds, commands=commands, slow_ms=sorted(slow))


def _requeue(url: str, ids: list[str], folder: Path) -> None:
    with closing(_Hands(url, folder)) as hands:
        previewed = actions.preview(hands, "requeue", ids)
        *_, last = actions.run(hands, previewed, _ORDER)
    assert last.outcomes == {"done": len(ids)}


class _Hands(actions.Hands):
    """Keeps its records in the benchmark's folder."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(redis_url=url)
        self._folder = folder

    @property
    def audit_file(self) -> Path:
        return self._folder / "audit.jsonl"


def _rq_requeue(url: str) -> None:
    program = str(Path(sys.executable).with_name("rq"))
    command = [program, "requeue", "--all", "--queue", QUEUE, "--url", url]
    subprocess.run(command, check=True, capture_output=True)


def _seed(redis: Any, jobs: int) -> list[str]:
    """Failed jobs as rq 3.0 leaves them, in an empty Redis."""
    redis.flushall()
    now = datetime.now(UTC)
    moment = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    about = {
        "status": "failed",
        "origin": QUEUE,
        "data": _PAYLOAD,
        "description": "shop.tasks.work('an-id')",
        **dict.fromkeys(("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"), moment),
        "timeout": 180,
        "worker_name": "worker",
        "failure_ttl": 31_536_000,
    }
    ids = [f"{number:032x}" for number in range(jobs)]
    redis.sadd("rq:queues", f"rq:queue:{QUEUE}")
    for first in range(0, jobs, PIPELINED):
        with redis.pipeline(transaction=False) as pipeline:
            for job_id in ids[first : first + PIPELINED]:
                pipeline.hset(f"rq:job:{job_id}", mapping=about)
                pipeline.zadd(f"rq:failed:{QUEUE}", {job_id: now.timestamp() + 31_536_000})
            pipeline.execute()
    return ids


if __name__ == "__main__":
    main()
