"""The serializer and job class for everything that touches our queues through rq's own classes."""

from __future__ import annotations

import json
from typing import Any

from rq.job import Job


class JsonSerializer:
    """JSON and nothing else: what cannot be told in JSON is refused, and reading never runs code."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @staticmethod
    def loads(data: bytes) -> Any:
        return json.loads(data)


class SafeJob(Job):  # type: ignore[misc, unused-ignore]
    """A job that can be read, listed, requeued and cleaned up, but never imports or calls what its record names.

    rq's clean-up runs a lost job's failure callback and sends its webhooks; here both are absent.
    """

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002
        super().__init__(id=id, connection=connection, serializer=serializer or JsonSerializer)

    @property
    def func(self) -> Any:
        raise PermissionError("A queued job is run by the worker's own list of functions, not by its record.")

    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None

    def send_webhooks(self, status: Any, *, exc_string: str | None = None) -> None:
        return None
