"""One run of one job inside this process: who may end it, and with what."""

from __future__ import annotations

import json
import threading
import time
import zlib
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from fixionmail import deadline
from fixionmail.jobs.worker.context import ExecutionContext
from fixionmail.jobs.worker.payload import Call, Refusal
from fixionmail.jobs.worker.scripts import Argument

Ending = Literal["finished", "failed", "refused", "stopped", "returned", "abandoned"]

UNSERIALIZABLE = "Unserializable return value"
"""What rq stores for a result its serializer cannot write."""
ERROR_LIMIT = 20_000
"""Characters of a traceback that are kept, from its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How an execution ended. ``value`` is JSON or None, ``error`` text or empty, ``elapsed`` in seconds."""

    ending: Ending
    elapsed: float
    value: bytes | None = None
    error: str = ""


def result_json(value: object) -> bytes | None:
    """The JSON of a job's return value; None stays None, and what JSON cannot say becomes rq's own placeholder."""
    if value is None:
        return None
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return json.dumps(UNSERIALIZABLE).encode()


class Execution:
    """A claimed job until its end is recorded and its thread is back.

    The first to :meth:`settle` decides how it ended: the thread that ran it, or the house, a stop command or the
    end of the drain. ``running``, ``reported`` and ``committed`` belong to the exchange's thread and the slot's.
    """

    __slots__ = (
        "_claimed_monotonic",
        "_claimed_text",
        "_lock",
        "call",
        "committed",
        "context",
        "limit",
        "outcome",
        "queued_ms",
        "reported",
        "running",
        "settled_at",
        "started_at",
        "thread_id",
    )

    def __init__(
        self, *, context: ExecutionContext, call: Call | Refusal, claimed: str, age: float, queued_ms: int
    ) -> None:
        self.context = context
        self.call = call
        self.queued_ms = queued_ms
        self.limit: deadline.Limit | None = None
        self.outcome: Outcome | None = None
        self.started_at: float | None = None
        self.settled_at: float | None = None
        self.thread_id: int | None = None
        self.running = False
        self.reported = False
        self.committed = False
        self._claimed_text = claimed
        self._claimed_monotonic = time.monotonic() - age
        self._lock = threading.Lock()

    @property
    def timeout(self) -> float | None:
        """Seconds the job may run; None when it was refused."""
        return self.call.timeout if isinstance(self.call, Call) else None

    def elapsed(self) -> float:
        """Seconds since the job was claimed."""
        return time.monotonic() - self._claimed_monotonic

    def settle(self, ending: Ending, *, value: bytes | None = None, error: str = "") -> bool:
        """Decide how this execution ended; False when that had been decided before."""
        with self._lock:
            if self.outcome is not None:
                return False
            self.outcome = Outcome(ending=ending, elapsed=self.elapsed(), value=value, error=error)
            self.settled_at = time.monotonic()
        return True

    def interrupt(self) -> None:
        """Let the job's next look at its deadline be its last."""
        with self._lock:
            if self.limit is not None:
                self.limit.cancel()

    def begin(self, limit: deadline.Limit) -> bool:
        """Enter the job's thread; False when the execution was settled before it could start."""
        with self._lock:
            if self.outcome is not None:
                return False
            self.limit = limit
            self.started_at = time.monotonic()
            self.thread_id = threading.get_ident()
        return True

    def finish_arguments(self) -> tuple[Argument, ...]:
        """The ten values ``finish.lua`` reads. All times are on the server's clock."""
        assert self.outcome is not None
        ended = float(self._claimed_text) + self.outcome.elapsed
        return (
            self.context.queue,
            self.context.job_id,
            self.context.execution_id,
            self.outcome.ending,
            b64encode(self.outcome.value) if self.outcome.value is not None else b"",
            encode_error(self.outcome.error),
            self._claimed_text,
            f"{ended:.6f}",
            moment_text(ended),
            self.queued_ms,
        )


def encode_error(text: str) -> bytes:
    """A traceback as rq stores it: compressed, then Base64; empty stays empty."""
    return b64encode(zlib.compress(text[-ERROR_LIMIT:].encode())) if text else b""


def moment_text(moment: float) -> str:
    """A Unix time in the form rq writes into its hashes."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
