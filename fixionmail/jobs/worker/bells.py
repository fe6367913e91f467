"""One thread per queue that waits, without polling, until something is in it."""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import Generic, TypeVar

from redis import Redis
from redis.exceptions import RedisError

from fixionmail.jobs.worker import keys
from fixionmail.jobs.worker.backoff import Backoff

log = logging.getLogger(__name__)

Item = TypeVar("Item")


class Bell(Generic[Item]):
    """Rings once when its queue holds a job, then stays silent until it is armed again.

    It waits with ``BLMOVE queue queue LEFT LEFT``: the head is moved onto itself, so nothing is taken and a lost
    reply loses nothing. Redis 6.2 or newer.
    """

    def __init__(
        self, queue: str, client: Redis, wait_seconds: float, rung: SimpleQueue[Item | str | None]
    ) -> None:
        self._queue = queue
        self._client = client
        self._wait_seconds = wait_seconds
        self._rung = rung
        self._armed = threading.Event()
        self._closed = False

    def arm(self) -> None:
        """Ring at the next job, or at once when one is there already."""
        self._armed.set()

    def close(self) -> None:
        """End :meth:`run`, even in the middle of waiting."""
        self._closed = True
        self._armed.set()
        self._client.connection_pool.disconnect(inuse_connections=True)

    def run(self) -> None:
        backoff = Backoff()
        while True:
            self._armed.wait()
            if self._closed:
                return
            try:
                if self._is_filled():
                    self._armed.clear()
                    self._rung.put(self._queue)
                backoff.succeeded()
            except (RedisError, OSError) as problem:
                if not self._closed:
                    pause = backoff.failed()
                    log.warning(
                        "Waiting on queue %s was cut off (%s); again in %.1f s.", self._queue, problem, pause
                    )
                    threading.Event().wait(pause)

    def _is_filled(self) -> bool:
        key = keys.queue(self._queue)
        return (
            self._client.blmove(key, key, timeout=int(self._wait_seconds), src="LEFT", dest="LEFT")
            is not None
        )
