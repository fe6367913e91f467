"""dramatiq on Redis."""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.mail import work

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))
send_one = dramatiq.actor(work.send_one)

if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        dramatiq.get_broker().enqueue(send_one.message(number).copy(actor_name="send_one"))
