"""Cancelling 1,000 of 500,000 jobs that wait in one queue, beside rq's own ``Job.cancel`` on fewer of them, scaled up.

    python -m tests.benchmarks.long_lists [--waiting 500000] [--jobs 1000] [--rq-jobs 50]

A Valkey of its own. Prints how long it takes, preview included, and how long Redis was held up at most by one command,
as its own slow log tells.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from redis import Redis
from rq.job import Job

from fixionmail.ops import actions
from fixionmail.subscribers.service import Operator
from tests.benchmarks.ops.__main__ import longest_pause
from tests.integration.worker.servers import RedisServer

LIST = "rq:queue:imports"
_ORDER = actions.Order(operator=Operator(name="benchmark", host="here"), reason="a benchmark")
_LOGGED_MICROSECONDS = 100


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--waiting", type=int, default=500_000)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rq-jobs", type=int, default=50)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder  # where actions go on record
        server = RedisServer(Path(folder))
        server.start()
        try:
            _run(server, wanted.waiting, wanted.jobs, wanted.rq_jobs)
        finally:
            server.kill()


def _run(server: RedisServer, waiting: int, jobs: int, rq_jobs: int) -> None:
    redis: Any = Redis.from_url(server.url, socket_timeout=60)
    ids = _seed(redis, waiting, jobs + rq_jobs)
    ours = _measure(redis, lambda: _cancel(server.url, ids[:jobs]))
    theirs = _measure(redis, lambda: [Job.fetch(job, connection=redis).cancel() for job in ids[jobs:]])
    assert redis.llen(LIST) == waiting - jobs - rq_jobs
    print(
        f"a busy loop on this machine is held up for {longest_pause() * 1000:.1f} ms at times, by other work"
    )
    print("| | seconds | longest command, ms |")
    print("|---|---|---|")
    print(f"| FixionMail, {jobs:,} of {waiting:,} | {ours[0]:.2f} | {ours[1]:.1f} |")
    print(f"| rq, {rq_jobs:,} of them scaled up | {theirs[0] * jobs / rq_jobs:.2f} | {theirs[1]:.1f} |")


def _cancel(url: str, ids: list[str]) -> None:
    with closing(actions.Hands(redis_url=url)) as hands:
        *_, last = actions.run(hands, actions.preview(hands, "cancel", ids), _ORDER)
    assert last.outcomes == {"done": len(ids)}


def _measure(redis: Any, action: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and milliseconds of the longest command."""
    redis.config_set("slowlog-max-len", 100_000)
    redis.config_set("slowlog-log-slower-than", _LOGGED_MICROSECONDS)
    redis.slowlog_reset()
    began = time.perf_counter()
    action()
    seconds = time.perf_counter() - began
    return seconds, max((entry["duration"] / 1000 for entry in redis.slowlog_get(100_000)), default=0.0)


def _seed(redis: Any, waiting: int, chosen: int) -> list[str]:
    """A long list; some of its jobs, from anywhere in it, which have records."""
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(waiting)]
    for first in range(0, waiting, 20_000):
        redis.rpush(LIST, *ids[first : first + 20_000])
    redis.sadd("rq:queues", LIST)
    some = random.Random(7).sample(ids, chosen)
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in some:
            record = {"status": "queued", "origin": "imports", "created_at": "2026-01-01T00:00:00.000000Z"}
            pipeline.hset(f"rq:job:{job_id}", mapping={**record, "data": b""})
        pipeline.execute()
    return some


if __name__ == "__main__":
    main()
