"""Ringing for work: through Redis to the workers, or, while there is no Redis, to threads of this process.

Postgres knows what is to be done; a ring only says that there is something. A lost ring costs one sweep, a doubled
one costs a claim that answers "nothing to do".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from fixionmail.jobs.names import EMAILS, SEND_MAIL, STORIES, WRITE_STORY, mail_job_ids, story_job_id
from fixionmail.jobs.worker import NewJob, enqueue_many
from fixionmail.jobs.worker.connections import connect

_log = structlog.get_logger("fixionmail.dispatch")

REDIS_TIMEOUT_SECONDS = 3.0
RETRY_REDIS_AFTER_SECONDS = 5.0


class Dispatcher(Protocol):
    """Somewhere to ring."""

    @property
    def mode(self) -> str:
        """``queue`` or ``fallback``: who does the work that is rung for."""

    @property
    def mode_since(self) -> datetime:
        """Since when."""

    @property
    def mode_reason(self) -> str:
        """Why the work is done here; empty in queue mode."""

    @property
    def trouble(self) -> str:
        """Why Redis is not rung through although it is wanted; empty while all is well."""

    def ring_stories(self, job_ids: Sequence[UUID]) -> None:
        """Ring for story jobs; never raises for a Redis that is away."""

    def ring_mail(self, rounds: int) -> None:
        """Ring for so many rounds of mail, at most a few at once."""

    def look_for_redis(self) -> None:
        """At first, and in fallback, see whether Redis answers; in queue mode, cost nothing."""

    def close(self) -> None:
        """Finish what runs in this process and give back connections."""


class QueueDispatcher:
    """Rings by queueing rq jobs. Raises RedisError when Redis cannot."""

    def __init__(self, url: str, *, story_timeout: int, mail_timeout: int) -> None:
        self._redis = connect(url, reply_timeout=REDIS_TIMEOUT_SECONDS)
        self._story_timeout = story_timeout
        self._mail_timeout = mail_timeout

    def ring_stories(self, job_ids: Sequence[UUID]) -> None:
        """One command for 1,000 jobs."""
        jobs = [
            NewJob(id=story_job_id(job), function=WRITE_STORY, args=(str(job),), timeout=self._story_timeout)
            for job in job_ids
        ]
        enqueue_many(self._redis, STORIES, jobs)

    def ring_mail(self, rounds: int) -> None:
        """One command."""
        jobs = [
            NewJob(id=job_id, function=SEND_MAIL, timeout=self._mail_timeout, result_ttl=120)
            for job_id in mail_job_ids(datetime.now(UTC), rounds)
        ]
        enqueue_many(self._redis, EMAILS, jobs)

    def ping(self) -> None:
        """Raises RedisError when Redis does not answer."""
        self._redis.ping()

    def has_worker(self, queue: str) -> bool:
        """Whether a live worker listens to a queue, by rq's list and the entries that expire with their worker."""
        listed = self._redis.smembers(f"rq:workers:{queue}")
        return bool(listed and self._redis.exists(*listed))

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


class FoundQueue:
    """The queue of a Redis that nobody named and that may be started or stopped at any time.

    It counts only while a worker listens to it: nobody promised that there would be one. Every method raises
    RedisError otherwise. Asking costs nothing: such a Redis is on this machine.

    Args:
        find: gives the URL of the Redis; None while there is none.
        open_queue: gives its queue.
    """

    def __init__(self, find: Callable[[], str | None], open_queue: Callable[[str], QueueDispatcher]) -> None:
        self._find = find
        self._open_queue = open_queue
        self._open: tuple[str, QueueDispatcher] | None = None
        self._lock = threading.Lock()

    def ring_stories(self, job_ids: Sequence[UUID]) -> None:
        """As a :class:`QueueDispatcher` does."""
        self._queue(STORIES).ring_stories(job_ids)

    def ring_mail(self, rounds: int) -> None:
        """As a :class:`QueueDispatcher` does."""
        self._queue(EMAILS).ring_mail(rounds)

    def ping(self) -> None:
        """Do nothing, if it counts."""
        self._queue(STORIES, EMAILS)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._open:
            self._open[1].close()

    def _queue(self, *names: str) -> QueueDispatcher:
        """The queue dispatcher, if a worker listens to each of these queues."""
        with self._lock:
            url = self._find()
            if url is None:
                raise RedisConnectionError("no local Redis runs")
            if self._open is None or self._open[0] != url:
                self.close()
                self._open = (url, self._open_queue(url))
            queue = self._open[1]
        for name in names:
            if not queue.has_worker(name):
                raise RedisConnectionError(f"no worker listens to {name} in the local Redis")
        return queue


class InlineDispatcher:
    """Does the work in threads of this process. A job that already waits or runs here is not taken twice.

    Args:
        functions: the task functions by their dotted names, as a worker has them.
        threads: jobs at a time.
    """

    def __init__(self, functions: Mapping[str, Callable[..., object]], *, threads: int) -> None:
        self._functions = functions
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inline")
        self._mail_pool = ThreadPoolExecutor(1, thread_name_prefix="inline-mail")
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def ring_stories(self, job_ids: Sequence[UUID]) -> None:
        """Write these stories, as threads become free."""
        for job in job_ids:
            self._submit(self._pool, story_job_id(job), WRITE_STORY, str(job))

    def ring_mail(self, rounds: int) -> None:
        """Send what is due; one round at a time keeps order and is fast enough for one process."""
        if rounds:
            # A round that is ending asks for the next one: two names, so that it does not find itself.
            for job_id in ("mail-now", "mail-next"):
                if self._submit(self._mail_pool, job_id, SEND_MAIL):
                    break

    def _submit(self, pool: ThreadPoolExecutor, job_id: str, function: str, *args: str) -> bool:
        with self._lock:
            if job_id in self._under_way:
                return False
            self._under_way.add(job_id)
        try:
            pool.submit(self._run, job_id, function, *args)
        except RuntimeError:  # the pool has been closed: the sweep of another process will ring again
            self._done(job_id)
        return True

    def _run(self, job_id: str, function: str, *args: str) -> None:
        try:
            self._functions[function](*args)
        except Exception as error:  # a worker slot: the outcome is on record in Postgres
            _log.warning("an inline job failed", job=job_id, error=type(error).__name__, reason=str(error))
        finally:
            self._done(job_id)

    def _done(self, job_id: str) -> None:
        with self._lock:
            self._under_way.discard(job_id)

    def close(self) -> None:
        """Let running jobs end, drop those that have not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._mail_pool.shutdown(wait=True, cancel_futures=True)


class FallbackDispatcher:
    """Fallback only: queue mode is not wanted."""

    mode = "fallback"
    mode_reason = "ENABLE_REDIS_QUEUE is false"
    trouble = ""

    def __init__(self, inline: InlineDispatcher) -> None:
        self.mode_since = datetime.now(UTC)
        self.ring_stories = inline.ring_stories
        self.ring_mail = inline.ring_mail
        self.close = inline.close

    def look_for_redis(self) -> None:
        """There is none to look for."""


class FailoverDispatcher:
    """Queue mode that falls back by itself while Redis is away, and comes back by itself.

    Args:
        queue: the named Redis, or one that may be found.
        mode: to begin with.
    """

    def __init__(
        self, queue: QueueDispatcher | FoundQueue, inline: InlineDispatcher, *, mode: str = "queue"
    ) -> None:
        self._queue = queue
        self._inline = inline
        self._lock = threading.Lock()
        self._mode = mode
        self._since = datetime.now(UTC)
        self._trouble = ""
        self._looked = False
        self._retry_at = 0.0

    @property
    def mode(self) -> str:
        """See :class:`Dispatcher`; as of the last ring."""
        return self._mode

    @property
    def mode_since(self) -> datetime:
        """See :class:`Dispatcher`."""
        return self._since

    @property
    def mode_reason(self) -> str:
        """See :class:`Dispatcher`: what Redis said last."""
        return self._trouble

    @property
    def trouble(self) -> str:
        """See :class:`Dispatcher`."""
        return self._trouble

    def ring_stories(self, job_ids: Sequence[UUID]) -> None:
        """See :class:`Dispatcher`."""
        if job_ids and not self._through_redis(lambda: self._queue.ring_stories(job_ids)):
            self._inline.ring_stories(job_ids)

    def ring_mail(self, rounds: int) -> None:
        """See :class:`Dispatcher`."""
        if rounds and not self._through_redis(lambda: self._queue.ring_mail(rounds)):
            self._inline.ring_mail(rounds)

    def look_for_redis(self) -> None:
        """See :class:`Dispatcher`."""
        if self._mode == "fallback" or not self._looked:
            self._looked = True
            self._through_redis(self._queue.ping)

    def _through_redis(self, ring: Callable[[], None]) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        try:
            ring()
        except RedisError as error:
            self._retry_at = time.monotonic() + RETRY_REDIS_AFTER_SECONDS
            self._trouble = str(error) or type(error).__name__
            self._switch("fallback", reason=self._trouble)
            return False
        self._trouble = ""
        self._switch("queue", reason="Redis answers")
        return True

    def _switch(self, mode: str, reason: str) -> None:
        with self._lock:
            if self._mode == mode:
                return
            self._mode, self._since = mode, datetime.now(UTC)
        _log.warning("mode changed", mode=mode, reason=reason)

    def close(self) -> None:
        """See :class:`Dispatcher`."""
        self._inline.close()
        self._queue.close()
