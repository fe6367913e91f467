"""huey on Redis."""

from __future__ import annotations

import os

from huey import RedisHuey

from tests.benchmarks.worker import work
from tests.benchmarks.worker.peers import URL

huey = RedisHuey("bench", url=os.environ[URL])
noop = huey.task()(work.noop)
story = huey.task()(work.story)
