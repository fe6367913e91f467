"""taskiq on Redis."""

from __future__ import annotations

import os

from taskiq_redis import ListQueueBroker

from tests.benchmarks.worker import work
from tests.benchmarks.worker.peers import URL

broker = ListQueueBroker(os.environ[URL])


@broker.task
async def noop(number: int) -> None:
    work.noop(number)


story = broker.task(work.story_async)
