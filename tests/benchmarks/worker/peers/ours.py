"""This project's worker."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from redis import Redis

from fixionmail.jobs.worker import NewJob, WorkerOptions, enqueue_many, run_worker
from tests.benchmarks.worker import work
from tests.benchmarks.worker.peers import PYTHON, URL, Kind, Peer

FUNCTIONS = {f"{work.HERE}.{name}": getattr(work, name) for name in ("noop", "story", "stamp")}


def fill(url: str, kind: Kind, jobs: int) -> None:
    new = [NewJob(id=f"{kind}-{i}", function=f"{work.HERE}.{kind}", args=(i,)) for i in range(jobs)]
    with Redis.from_url(url) as client:
        enqueue_many(client, "stories", new)


def command(concurrency: int) -> list[str]:
    return [PYTHON, "-m", "tests.benchmarks.worker.peers.ours", json.dumps(concurrency)]


def commands(kind: Kind) -> Sequence[Sequence[str]]:
    return [command(250)] * 2


def commands_for_one(kind: Kind) -> Sequence[Sequence[str]]:
    return [command(1000)]


TWO = Peer(name="FixionMail, 2 processes", needs=(), fill=fill, commands=commands, noops=40_000)
ONE = Peer(name="FixionMail, 1 process", needs=(), fill=fill, commands=commands_for_one, noops=20_000)

if __name__ == "__main__":
    options = WorkerOptions(queues=("emails", "stories"), concurrency=json.loads(sys.argv[1]))
    sys.exit(run_worker(os.environ[URL], FUNCTIONS, options))
