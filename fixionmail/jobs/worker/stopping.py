"""Requests to stop, from signals, commands and the worker itself; they may come from a signal handler."""

from __future__ import annotations

from dataclasses import dataclass
from queue import Empty, SimpleQueue

from fixionmail.jobs.worker.options import EXIT_REQUESTED


@dataclass(frozen=True, kw_only=True)
class StopRequest:
    """Why to stop, how long jobs may still run (None: until they are done) and what to exit with."""

    reason: str
    exit_code: int = EXIT_REQUESTED
    drain_seconds: float | None = None


class StopRequests:
    """A mailbox that a signal handler may write to."""

    def __init__(self) -> None:
        self._box: SimpleQueue[StopRequest] = SimpleQueue()

    def request(self, request: StopRequest) -> None:
        self._box.put(request)

    def drain(self) -> None:
        """Stop when all running jobs are done, as an operator asked."""
        self.request(StopRequest(reason="an operator asked to drain it"))

    def next(self, timeout: float) -> StopRequest | None:
        """The next request, or None after ``timeout`` seconds."""
        try:
            return self._box.get(timeout=timeout)
        except Empty:
            return None
