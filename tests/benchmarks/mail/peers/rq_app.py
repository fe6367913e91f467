"""rq: fill its queue, or work it off with a SimpleWorker."""

from __future__ import annotations

import logging
import os
import sys

from redis import Redis
from rq import Queue, SimpleWorker

from tests.benchmarks.mail.work import send_one


def main(what: str, *arguments: str) -> None:
    """``fill N`` or ``work``."""
    client = Redis.from_url(os.environ["REDIS_URL"])
    queue = Queue("bench", connection=client, serializer="json")
    if what == "fill":
        queue.enqueue_many([Queue.prepare_data(send_one, (n,)) for n in range(int(arguments[0]))])
        return
    logging.disable(logging.CRITICAL)
    SimpleWorker([queue], connection=client, serializer="json").work(logging_level="CRITICAL")


if __name__ == "__main__":
    main(*sys.argv[1:])
