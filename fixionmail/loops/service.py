"""What ``fixionmail run`` runs: a loop, a worker, or all of them in one process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from types import FrameType
from typing import Any

import structlog
from redis.exceptions import RedisError

from fixionmail.errors import SettingsError
from fixionmail.jobs.dispatch import (
    Dispatcher,
    FailoverDispatcher,
    FallbackDispatcher,
    FoundQueue,
    InlineDispatcher,
    QueueDispatcher,
)
from fixionmail.jobs.names import QUEUES
from fixionmail.jobs.toolbox import open_functions
from fixionmail.jobs.worker import WorkerOptions, run_worker
from fixionmail.jobs.worker.connections import commands_sent
from fixionmail.jobs.worker.payload import Functions
from fixionmail.loops.delivery import Delivery
from fixionmail.loops.presence import present
from fixionmail.loops.runner import Loop, Runner
from fixionmail.loops.scheduler import Scheduler
from fixionmail.mail.choice import mail_line
from fixionmail.ops.target import redis_url_of
from fixionmail.settings import Settings
from fixionmail.store import Store, open_store

DELIVERY_INTERVAL_SECONDS = 30.0
"""Repairs come this soon after a lease has lapsed; due mail does not wait for it."""

SIGNAL_SECONDS = 1.0
"""The kernel may give a signal to any thread, as when a stopped process goes on; only the main one acts on it, and it
does so when it wakes."""

_log = structlog.get_logger("fixionmail.service")


def run_loops(settings: Settings, names: Sequence[str]) -> int:
    """Run the loops ``scheduler``, ``delivery`` or both until SIGTERM or SIGINT; the exit code.

    Raises:
        FixionMailError: a setting is wrong, or the database cannot be used at the start.
    """
    redis_to_use(settings)
    with (
        stop_on_signals() as stop,
        open_store(settings, max_connections=_connections(settings)) as store,
        _dispatching(settings, store) as dispatcher,
        _running(settings, store, dispatcher, names),
    ):
        while not stop.wait(SIGNAL_SECONDS):
            pass
    return 0


def run_all(settings: Settings, options: WorkerOptions) -> int:
    """Run both loops, and in queue mode a worker with them, in this one process."""
    url = redis_to_use(settings)
    if url is None:
        return run_loops(settings, ("scheduler", "delivery"))
    with open_store(settings, max_connections=_connections(settings)) as store, ExitStack() as stack:
        dispatcher = stack.enter_context(_dispatching(settings, store))
        stack.enter_context(_running(settings, store, dispatcher, ("scheduler", "delivery")))
        functions = stack.enter_context(open_functions(settings, store, dispatcher.ring_mail))
        return _work(store, url, functions, options)


@contextmanager
def hosting(settings: Settings) -> Iterator[None]:
    """Run both loops in this process while inside; without Redis they do the work, too.

    Raises:
        FixionMailError: the database cannot be used at the start.
    """
    with (
        open_store(settings, max_connections=_connections(settings)) as store,
        _dispatching(settings, store) as dispatcher,
        _running(settings, store, dispatcher, ("scheduler", "delivery")),
    ):
        yield


def run_one_worker(settings: Settings, options: WorkerOptions) -> int:
    """Run a worker until it is told to stop; its exit code.

    Raises:
        SettingsError: no Redis is named and none of our own runs, or it is not wanted.
        FixionMailError: the database cannot be used at the start.
    """
    url = redis_to_use(settings)
    if url is None:
        raise SettingsError(
            "A worker takes its jobs from Redis: set REDIS_URL. On this machine, `fixionmail redis up` starts one. "
            "Without Redis, `fixionmail run all` does the work in one process (fallback)."
        )
    with open_store(settings, max_connections=_connections(settings)) as store, ExitStack() as stack:
        queue = _queue(settings, url)
        stack.callback(queue.close)
        functions = stack.enter_context(open_functions(settings, store, _or_leave_it(queue.ring_mail)))
        return _work(store, url, functions, options)


def worker_options(settings: Settings, **changes: Any) -> WorkerOptions:
    """A worker's options from the settings, with changes from the command line (None changes nothing)."""
    wanted = {name: value for name, value in changes.items() if value is not None}
    return WorkerOptions(**{"queues": QUEUES, "concurrency": settings.worker_concurrency, **wanted})


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets; the second signal ends the process at once."""
    stop = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(store: Store, url: str, functions: Functions, options: WorkerOptions) -> int:
    def info() -> Mapping[str, Any]:
        of = {"queues": list(options.queues), "concurrency": options.concurrency}
        return {**of, "redis_commands": commands_sent()}

    with present(store.leases, "worker", info):
        return run_worker(url, functions, options)


def redis_to_use(settings: Settings) -> str | None:
    """The named Redis, or this home's own one while it runs; None in fallback mode."""
    return redis_url_of(settings) or settings.redis_target()


def _queue(settings: Settings, url: str) -> QueueDispatcher:
    return QueueDispatcher(
        url,
        story_timeout=settings.story_job_timeout_seconds,
        mail_timeout=settings.email_job_timeout_seconds,
    )


@contextmanager
def _dispatching(settings: Settings, store: Store) -> Iterator[Dispatcher]:
    """The dispatcher of a loop: Redis while it answers, threads of this process otherwise."""
    inline: list[InlineDispatcher] = []
    with open_functions(settings, store, lambda rounds: inline[0].ring_mail(rounds)) as functions:
        inline.append(InlineDispatcher(functions, threads=min(settings.worker_concurrency, 32)))
        dispatcher = _dispatcher(settings, inline[0])
        try:
            yield dispatcher
        finally:
            dispatcher.close()


def _dispatcher(settings: Settings, inline: InlineDispatcher) -> Dispatcher:
    if settings.enable_redis_queue is False:
        return FallbackDispatcher(inline)
    if settings.redis_url is not None:
        return FailoverDispatcher(_queue(settings, settings.redis_url.get_secret_value()), inline)
    found = FoundQueue(partial(redis_url_of, settings), partial(_queue, settings))
    return FailoverDispatcher(found, inline, mode="fallback")


@contextmanager
def _running(
    settings: Settings, store: Store, dispatcher: Dispatcher, names: Sequence[str]
) -> Iterator[None]:
    runners = [Runner(store, _loop(name, settings, store, dispatcher)) for name in names]
    for runner in runners:
        runner.start()
    try:
        yield
    finally:
        for runner in runners:
            runner.stop()


def _loop(name: str, settings: Settings, store: Store, dispatcher: Dispatcher) -> Loop:
    def info() -> Mapping[str, Any]:
        return {
            "mode": dispatcher.mode,
            "mode_since": dispatcher.mode_since.isoformat(),
            "mode_reason": dispatcher.mode_reason,
            "redis_commands": commands_sent(),
        }

    if name == "delivery":
        delivery = Delivery(line=mail_line(settings, store), dispatcher=dispatcher)
        interval = min(settings.check_interval_seconds, DELIVERY_INTERVAL_SECONDS)
        return Loop(name=name, interval_seconds=interval, tick=delivery.tick, info=info)
    scheduler = Scheduler(
        store=store,
        dispatcher=dispatcher,
        lead=timedelta(minutes=settings.generation_lead_minutes),
        sweep_seconds=settings.check_interval_seconds * 0.9,
        paused=settings.scheduler_paused,
    )
    return Loop(name=name, interval_seconds=settings.check_interval_seconds, tick=scheduler.tick, info=info)


def _or_leave_it(ring: Callable[[int], None]) -> Callable[[int], None]:
    """Ring if Redis answers; else the delivery loop finds the work at its next tick."""

    def ring_or_leave_it(rounds: int) -> None:
        try:
            ring(rounds)
        except RedisError as error:
            _log.warning("could not ring for mail", reason=f"{type(error).__name__}: {error}")

    return ring_or_leave_it


def _connections(settings: Settings) -> int:
    return max(4, min(10, settings.worker_concurrency))
