"""The thread that keeps the house: deadlines, leases, registration, maintenance, memory and the watchdog."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from typing import Any

import psutil
from redis import Redis
from redis.exceptions import RedisError

from fixionmail.jobs.worker import keys, scripts
from fixionmail.jobs.worker.backoff import Backoff
from fixionmail.jobs.worker.exchange import Exchange
from fixionmail.jobs.worker.execution import Execution, encode_error, moment_text
from fixionmail.jobs.worker.options import EXIT_RECYCLE, WorkerOptions
from fixionmail.jobs.worker.record import WorkerRecord
from fixionmail.jobs.worker.stopping import StopRequest, StopRequests

log = logging.getLogger(__name__)

BUSY_TICK = 0.25
IDLE_TICK = 2.0
CHUNK = 200
"""Executions whose leases are extended per call."""
MAINTENANCE_BUSY = 600.0
MAINTENANCE_IDLE = 3600.0
"""Seconds between rq's maintenance passes, when jobs were run since the last one and when not."""
WATCHDOG_REARM = 5.0
RSS_EVERY = 2.0
RSS_BASE_JOBS = 200
"""Memory is first measured after so many jobs, when caches and threads are in place."""


class House:
    """Everything that must happen on time, whatever the jobs do."""

    def __init__(
        self,
        client: Redis,
        exchange: Exchange,
        record: WorkerRecord,
        options: WorkerOptions,
        stops: StopRequests,
        *,
        watchdog: bool,
    ) -> None:
        self._client = client
        self._exchange = exchange
        self._record = record
        self._options = options
        self._stops = stops
        self._watchdog = watchdog
        self._registered = False
        self._wake = threading.Event()
        self._closed = False
        self._parents: deque[Execution] = deque()
        self._backoff = Backoff(first=0.2)
        self._next_heartbeat = 0.0
        self._next_maintenance = 0.0
        self._next_rearm = 0.0
        self._next_rss = 0.0
        self._rss_base: int | None = None
        self._claimed_at_maintenance = 0

    # ---- called from other threads -------------------------------------------------------------------------------

    def register_again(self) -> None:
        """The worker's entry is gone from Redis."""
        self._registered = False
        self._next_heartbeat = 0.0
        self._wake.set()

    def has_dependents(self, execution: Execution) -> None:
        """Other jobs waited for this one, and its end is recorded."""
        self._parents.append(execution)
        self._wake.set()

    def owes_dependents(self) -> bool:
        """Whether jobs are still to be queued because the one they waited for has ended."""
        return bool(self._parents)

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    # ---- the thread ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            while not self._closed:
                self._tick()
                self._wake.wait(BUSY_TICK if self._exchange.in_flight else IDLE_TICK)
                self._wake.clear()
        finally:
            if self._watchdog:
                faulthandler.cancel_dump_traceback_later()

    def _tick(self) -> None:
        now = time.monotonic()
        self._rearm_watchdog(now)
        self._end_overdue(now)
        self._watch_memory(now)
        if self._options.lease_seconds / 3 < self._next_heartbeat - now and self._exchange.in_flight:
            self._next_heartbeat = (
                now + self._options.lease_seconds / 3
            )  # work has begun since the last heartbeat
        if now < self._next_heartbeat and not self._parents:
            return
        try:
            self._keep_redis(now)
            self._backoff.succeeded()
        except (RedisError, OSError) as problem:
            pause = self._backoff.failed()
            self._next_heartbeat = now + pause
            log.warning("The worker's heartbeat failed (%s); again in %.1f s.", problem, pause)

    def _keep_redis(self, now: float) -> None:
        if not self._registered:
            self._record.register()
            self._registered = True
            self._exchange.ring()
        if now >= self._next_heartbeat:
            lapsed = self._beat()
            busy = bool(self._exchange.in_flight)
            self._next_heartbeat = now + (
                self._options.lease_seconds / 3 if busy else self._options.heartbeat_seconds
            )
            for queue in lapsed:
                self._bury_lapsed(queue)
        self._release_dependents()
        self._maintain(now)

    # ---- deadlines ---------------------------------------------------------------------------------------------------

    def _end_overdue(self, now: float) -> None:
        stuck = 0
        for execution in list(self._exchange.in_flight.values()):
            if execution.outcome is None:
                self._end_if_overdue(execution, now)
            elif execution.running and execution.settled_at is not None:
                stuck += now - execution.settled_at > self._options.grace_seconds
        if stuck >= min(self._options.max_stuck, self._options.concurrency):
            self._stops.request(
                StopRequest(reason=f"{stuck} threads outlived their jobs", exit_code=EXIT_RECYCLE)
            )

    def _end_if_overdue(self, execution: Execution, now: float) -> None:
        if execution.started_at is None or execution.timeout is None:
            return
        if now - execution.started_at <= execution.timeout + self._options.grace_seconds:
            return
        where = _stack_of(execution.thread_id)
        if execution.settle("failed", error=f"The job ran longer than its {execution.timeout:g} s.\n{where}"):
            log.error("Job %s outlived its timeout; its thread is at:\n%s", execution.context.job_id, where)
            execution.interrupt()
            self._exchange.settled(execution)

    # ---- Redis -------------------------------------------------------------------------------------------------------

    def _beat(self) -> list[str]:
        """Extend all leases; returns the queues in which somebody's lease has lapsed."""
        executions = [
            execution for execution in list(self._exchange.in_flight.values()) if not execution.committed
        ]
        lapsed: list[str] = []
        for first in range(0, max(1, len(executions)), CHUNK):
            state, counted, lapsed_raw, lost = self._extend(executions[first : first + CHUNK])
            for execution_id in lost:
                self._lease_lost(execution_id.decode())
            lapsed = [queue.decode() for queue in lapsed_raw]
        if state == b"unregistered":
            self.register_again()
        elif state == b"draining":
            self._stops.drain()
        if counted > len(self._exchange.in_flight):
            self._exchange.doubt()
        return lapsed

    def _extend(self, executions: Sequence[Execution]) -> Any:
        arguments: list[scripts.Argument] = [
            keys.PREFIX,
            self._record.name,
            int(self._options.lease_seconds),
            self._record.worker_ttl,
            ",".join(self._options.queues),
        ]
        for execution in executions:
            context = execution.context
            arguments.extend((context.queue, context.job_id, context.execution_id))
        return scripts.run(self._client, scripts.HEARTBEAT, arguments)

    def _lease_lost(self, execution_id: str) -> None:
        """The job is not interrupted: whose work counts is decided where it is written, not in Redis."""
        execution = self._exchange.in_flight.get(execution_id)
        if execution is not None and execution.outcome is None:
            log.warning(
                "The lease of job %s has passed on; its end will be refused.", execution.context.job_id
            )

    def _bury_lapsed(self, queue: str) -> None:
        """End executions whose worker is gone: retried when the job has retries left, else failed.

        The script judges by the server's clock which of the oldest leases have lapsed.
        """
        members = scripts.command(self._client, "ZRANGE", keys.leases(queue), 0, CHUNK - 1)
        pairs = [member.decode().rsplit(":", 1) for member in members]
        ended = time.time()
        error = encode_error("AbandonedJobError: the worker that ran this job gave no sign of life.")
        arguments: list[scripts.Argument] = [keys.PREFIX, self._record.name, self._options.result_ttl]
        for job_id, execution_id in pairs:
            arguments.extend((queue, job_id, execution_id, "abandoned", b"", error))
            arguments.extend((f"{ended:.6f}", f"{ended:.6f}", moment_text(ended), 0))
        answers = scripts.run(self._client, scripts.FINISH, arguments) if pairs else []
        for (job_id, _), answer in zip(pairs, answers, strict=True):
            if answer != b"lost":
                log.warning("Job %s had lost its worker.", job_id)
            if answer == b"dependents":
                self._record.release_dependents(queue, job_id, "failed")

    def _release_dependents(self) -> None:
        while self._parents:
            execution = self._parents[0]
            ending = execution.outcome.ending if execution.outcome else "failed"
            status = ending if ending in ("finished", "stopped") else "failed"
            self._record.release_dependents(execution.context.queue, execution.context.job_id, status)
            self._exchange.ring()
            self._parents.popleft()

    def _maintain(self, now: float) -> None:
        worked = self._exchange.claimed > self._claimed_at_maintenance
        due = self._next_maintenance - (MAINTENANCE_IDLE - MAINTENANCE_BUSY if worked else 0.0)
        if now < due:
            return
        self._next_maintenance = now + MAINTENANCE_IDLE
        self._claimed_at_maintenance = self._exchange.claimed
        self._record.clean_up()

    # ---- the process -------------------------------------------------------------------------------------------------

    def _watch_memory(self, now: float) -> None:
        limit = self._options.max_rss_growth_mb
        if not limit or now < self._next_rss or self._exchange.claimed < RSS_BASE_JOBS:
            return
        self._next_rss = now + RSS_EVERY
        rss = psutil.Process().memory_info().rss
        if self._rss_base is None:
            self._rss_base = rss
        grown = (rss - self._rss_base) // 1_048_576
        if grown > limit:
            self._stops.request(
                StopRequest(reason=f"memory has grown by {grown} MiB", exit_code=EXIT_RECYCLE)
            )

    def _rearm_watchdog(self, now: float) -> None:
        """Put the end of the process off, as long as the exchange moves too."""
        if not self._watchdog or now < self._next_rearm:
            return
        if now - self._exchange.last_turn > self._options.watchdog_seconds / 2:
            return
        self._next_rearm = now + min(WATCHDOG_REARM, self._options.watchdog_seconds / 4)
        faulthandler.dump_traceback_later(self._options.watchdog_seconds, exit=True)


def _stack_of(thread_id: int | None) -> str:
    frame = sys._current_frames().get(thread_id or 0)
    return "".join(traceback.format_stack(frame)) if frame else "(the thread is gone)"
