"""celery on Redis."""

from __future__ import annotations

import os

from celery import Celery

from tests.benchmarks.worker import work
from tests.benchmarks.worker.peers import URL

app = Celery("bench", broker=os.environ[URL])
app.conf.broker_connection_retry_on_startup = True
noop = app.task(name="noop")(work.noop)
story = app.task(name="story")(work.story)
