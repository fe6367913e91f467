"""The thread that hears rq's commands (stop a job, shut down) and the call to look at the queues again."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from fixionmail.jobs.worker import keys
from fixionmail.jobs.worker.backoff import Backoff
from fixionmail.jobs.worker.exchange import Exchange
from fixionmail.jobs.worker.stopping import StopRequest, StopRequests

log = logging.getLogger(__name__)


class Commands:
    """Listens on rq's channel of this worker and on the wake channel of all of them."""

    def __init__(
        self, client: Redis, worker: str, exchange: Exchange, stops: StopRequests, drain_seconds: float
    ) -> None:
        self._client = client
        self._channels = (keys.command_channel(worker), keys.WAKE_CHANNEL)
        self._exchange = exchange
        self._stops = stops
        self._drain_seconds = drain_seconds
        self._closed = threading.Event()

    def close(self) -> None:
        """End :meth:`run`, even in the middle of waiting."""
        self._closed.set()
        self._client.connection_pool.disconnect(inuse_connections=True)

    def run(self) -> None:
        backoff = Backoff()
        while not self._closed.is_set():
            try:
                self._listen(backoff)
            except (RedisError, OSError, ValueError) as problem:
                if not self._closed.is_set():
                    pause = backoff.failed()
                    log.warning(
                        "The worker cannot hear commands (%s); trying again in %.1f s.", problem, pause
                    )
                    self._closed.wait(pause)

    def _listen(self, backoff: Backoff) -> None:
        with cast(Any, self._client).pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(*self._channels)
            while not self._closed.is_set():
                message = channel.get_message(timeout=None)
                backoff.succeeded()
                if message is not None:
                    self._receive(message)

    def _receive(self, message: dict[str, Any]) -> None:
        if message["channel"].decode() == keys.WAKE_CHANNEL:
            self._exchange.ring()
            return
        try:
            payload = json.loads(message["data"])
            command = payload["command"]
        except (ValueError, TypeError, KeyError):
            log.warning("A command that is not rq's JSON was ignored.")
            return
        self._obey(command, payload)

    def _obey(self, command: object, payload: dict[str, Any]) -> None:
        if command == "shutdown":
            self._stops.request(StopRequest(reason="the shutdown command", drain_seconds=self._drain_seconds))
        elif command == "drain":
            self._stops.drain()
        elif command == "stop-job":
            self._stop(job_id=payload.get("job_id"), execution_id=None)
        elif command == "stop-execution":
            self._stop(job_id=None, execution_id=payload.get("execution_id"))
        else:
            log.warning("The command %r does not apply to a threaded worker and was ignored.", command)

    def _stop(self, *, job_id: object, execution_id: object) -> None:
        """Record the execution as stopped now; its thread, if it has one, ends at its next look at the deadline."""
        for execution in list(self._exchange.in_flight.values()):
            context = execution.context
            if job_id != context.job_id and execution_id != context.execution_id:
                continue
            if execution.settle("stopped", error="The job was stopped by command."):
                execution.interrupt()
                self._exchange.settled(execution)
                log.info("Job %s was stopped by command.", context.job_id)
