"""rq's own workers."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from redis import Redis
from rq import Queue, SimpleWorker, Worker

from tests.benchmarks.worker import work
from tests.benchmarks.worker.peers import PYTHON, URL, Kind, Peer


def fill(url: str, kind: Kind, jobs: int) -> None:
    with Redis.from_url(url) as client:
        queue = Queue("stories", connection=client, serializer="json")
        queue.enqueue_many([Queue.prepare_data(f"{work.HERE}.{kind}", (i,)) for i in range(jobs)])


def command(kind: str) -> list[str]:
    return [PYTHON, "-m", "tests.benchmarks.worker.peers.stock", kind]


FORKING = Peer(
    name="rq Worker", needs=(), fill=fill, commands=lambda kind: [command("fork")] * 2, noops=200, stories=20
)
SIMPLE = Peer(
    name="rq SimpleWorker",
    needs=(),
    fill=fill,
    commands=lambda kind: [command("simple")] * 2,
    noops=2000,
    stories=20,
)


def main(arguments: Sequence[str]) -> None:
    logging.disable(logging.CRITICAL)
    kind = Worker if arguments[0] == "fork" else SimpleWorker
    client = Redis.from_url(os.environ[URL])
    kind(["emails", "stories"], connection=client, serializer="json").work(logging_level="CRITICAL")


if __name__ == "__main__":
    main(sys.argv[1:])
