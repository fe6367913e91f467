"""dramatiq on Redis."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.worker import work
from tests.benchmarks.worker.peers import URL

broker = RedisBroker(url=os.environ[URL])
dramatiq.set_broker(broker)
noop = dramatiq.actor(work.noop)
story = dramatiq.actor(work.story)
