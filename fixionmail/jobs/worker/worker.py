"""The worker: its threads, and how it starts, drains and ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import FrameType

from redis import Redis
from redis.exceptions import RedisError

from fixionmail.jobs.worker.bells import Bell
from fixionmail.jobs.worker.commands import Commands
from fixionmail.jobs.worker.connections import connect
from fixionmail.jobs.worker.exchange import Exchange, Notices
from fixionmail.jobs.worker.execution import Execution
from fixionmail.jobs.worker.house import House
from fixionmail.jobs.worker.options import (
    EXIT_FAILED,
    EXIT_FORCED,
    EXIT_RECYCLE,
    EXIT_REQUESTED,
    WorkerOptions,
)
from fixionmail.jobs.worker.payload import Functions
from fixionmail.jobs.worker.record import WorkerRecord
from fixionmail.jobs.worker.stopping import StopRequest, StopRequests

log = logging.getLogger(__name__)

BELL_SECONDS = 300.0
"""How long a bell waits per command: idle queues cost twelve commands an hour each."""
CLOSE_SECONDS = 5.0
"""How long the last reports and goodbyes may take when Redis does not answer."""
SIGNAL_SECONDS = 1.0
"""How soon a signal is acted on that the kernel gave to another thread than the main one."""
WATCH_SECONDS = 0.05
"""How often a burst, a limited run or a drain looks whether it is done."""


class ThreadedWorker:
    """Runs many jobs at once in one process, visible to rq's tools as a worker.

    Args:
        redis_url: ``redis://``, ``rediss://`` or ``unix://``.
        functions: Dotted path -> function; nothing else is ever run.
        options: See :class:`WorkerOptions`.
        watchdog: End the whole process when nothing in it moves any more.
    """

    def __init__(
        self, redis_url: str, functions: Functions, options: WorkerOptions, *, watchdog: bool = False
    ) -> None:
        self.options = options
        self.name = f"{options.name or socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._stops = StopRequests()
        self._threads: list[threading.Thread] = []
        self._clients: list[Redis] = []
        notices = Notices(
            unregistered=self._unregistered, drain=self._stops.drain, dependents=self._dependents_wait
        )
        self._exchange = Exchange(self._client(redis_url), self.name, functions, options, notices)
        house_client = self._client(redis_url)
        self._record = WorkerRecord(
            options.queues, self.name, house_client, _worker_ttl(options), options.concurrency
        )
        self._house = House(
            house_client, self._exchange, self._record, options, self._stops, watchdog=watchdog
        )
        self._commands = Commands(
            self._client(redis_url), self.name, self._exchange, self._stops, options.drain_seconds
        )
        self._bells = {
            queue: Bell[Execution](
                queue, self._client(redis_url, BELL_SECONDS + 15), BELL_SECONDS, self._exchange.inbox
            )
            for queue in (() if options.burst else options.queues)
        }
        self._exchange.use_bells(self._bells)

    def run(self) -> int:
        """Work until asked to stop; returns the code the process should exit with."""
        log.info(
            "Worker %s takes up to %d jobs at once from %s.",
            self.name,
            self.options.concurrency,
            ", ".join(self.options.queues),
        )
        self._start_threads()
        request = self._wait_for_stop()
        log.info("Worker %s stops: %s.", self.name, request.reason)
        exit_code = self._drain(request)
        self._close()
        log.info("Worker %s has stopped.", self.name)
        return exit_code

    def stop(self) -> None:
        """Stop taking jobs, let running ones finish within the drain time, hand back the rest. From any thread."""
        self._stops.request(StopRequest(reason="it was asked to", drain_seconds=self.options.drain_seconds))

    # ---- stages --------------------------------------------------------------------------------------------------

    def _start_threads(self) -> None:
        """Start them deaf to signals, which they and the slots they start inherit: only the main thread acts on one."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        try:
            self._start("exchange", self._exchange.run)
            self._start("house", self._house.run)
            self._start("commands", self._commands.run)
            for queue, bell in self._bells.items():
                self._start(f"bell-{queue}", bell.run)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _wait_for_stop(self) -> StopRequest:
        limited = self.options.burst or self.options.max_jobs is not None
        while True:
            request = self._stops.next(WATCH_SECONDS if limited else SIGNAL_SECONDS)
            if request is not None:
                return request
            if limited and self._exchange.is_exhausted() and not self._house.owes_dependents():
                exit_code = EXIT_REQUESTED if self.options.burst else EXIT_RECYCLE
                return StopRequest(reason="there is nothing left to do", exit_code=exit_code)

    def _drain(self, request: StopRequest) -> int:
        """Wait for running jobs, as long as the most impatient request allows; returns the exit code."""
        exit_code = request.exit_code
        ends_at = _ends_at(request)
        idle_ends_at = time.monotonic() + CLOSE_SECONDS
        self._exchange.stop_claiming()
        while not self._is_drained() and time.monotonic() < ends_at:
            if not self._exchange.in_flight and time.monotonic() > idle_ends_at:
                break  # Redis does not say what a lost reply may have claimed; the leases of that lapse
            if (further := self._stops.next(WATCH_SECONDS)) is not None:
                ends_at = min(ends_at, _ends_at(further))
                exit_code = exit_code if further.exit_code else EXIT_REQUESTED
        self._hand_back()
        return exit_code

    def _is_drained(self) -> bool:
        return self._exchange.is_drained() and not self._house.owes_dependents()

    def _hand_back(self) -> None:
        for execution in list(self._exchange.in_flight.values()):
            if execution.settle("returned"):
                log.warning("Job %s goes back to its queue.", execution.context.job_id)
                execution.interrupt()
                self._exchange.settled(execution)

    def _close(self) -> None:
        self._exchange.close(CLOSE_SECONDS)
        self._house.close()
        self._commands.close()
        for bell in self._bells.values():
            bell.close()
        ends_at = time.monotonic() + 2 * CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
        try:
            self._record.unregister()
        except (RedisError, OSError) as problem:
            log.warning("Worker %s could not take its leave of Redis: %s", self.name, problem)
        for client in self._clients:
            client.close()

    # ---- small things ----------------------------------------------------------------------------------------------

    def _client(self, url: str, reply_timeout: float = 10.0) -> Redis:
        client = connect(url, reply_timeout=reply_timeout)
        self._clients.append(client)
        return client

    def _start(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(name, target), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, name: str, target: Callable[[], None]) -> None:
        """The boundary of the worker's own threads: a defect in one ends the process, so that it is replaced."""
        try:
            target()
        except Exception:
            log.exception("The worker's %s thread broke.", name)
            self._stops.request(
                StopRequest(reason=f"its {name} thread broke", exit_code=EXIT_FAILED, drain_seconds=1.0)
            )

    def _unregistered(self) -> None:
        self._house.register_again()

    def _dependents_wait(self, execution: Execution) -> None:
        self._house.has_dependents(execution)


def _worker_ttl(options: WorkerOptions) -> int:
    """Long enough to miss a heartbeat."""
    return int(options.heartbeat_seconds * 2)


def _ends_at(request: StopRequest) -> float:
    return float("inf") if request.drain_seconds is None else time.monotonic() + request.drain_seconds


def run_worker(redis_url: str, functions: Functions, options: WorkerOptions) -> int:
    """Run a worker in this process until a signal, a command or its options end it.

    SIGTERM and SIGINT stop it warmly; a second one ends the process at once, and the leases of what it ran lapse.
    Call it from the main thread.

    Returns:
        The exit code: 0 for a requested stop, 75 to be started again, 70 after a defect.
    """
    worker = ThreadedWorker(redis_url, functions, options, watchdog=True)
    asked = False

    def on_signal(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(EXIT_FORCED)
        asked = True
        worker.stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return worker.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
