"""What both kinds of endpoint share: one SDK client for all threads of a process, opened with the first request."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import cached_property
from threading import Lock
from typing import Generic, Protocol, TypeVar

import httpx2

from fixionmail import deadline
from fixionmail.stories.model import ModelError

CONNECT_SECONDS, IDLE_SECONDS, TOTAL_SECONDS = 10.0, 90.0, 300.0


class Closable(Protocol):
    """A client of either SDK."""

    def close(self) -> None:
        """Give back its connections."""


Client = TypeVar("Client", bound=Closable)


class Endpoint(ABC, Generic[Client]):
    """An endpoint and the model that is asked there.

    Args:
        api_key: never repeated in an error.
        url: where it is; None: where the SDK's maker has it.
        model: its name there.
        connect_seconds: to open a connection.
        idle_seconds: between two pieces of an answer.
        total_seconds: for a request in all, or less when the work's deadline is nearer.
    """

    def __init__(
        self,
        *,
        api_key: str,
        url: str | None,
        model: str,
        connect_seconds: float = CONNECT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.model = model
        self.total_seconds = total_seconds
        self._api_key = api_key
        self._url = url
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._opening = Lock()

    @abstractmethod
    def _open(self) -> Client:
        """Load the SDK and make its client; its own retries are off."""

    @cached_property
    def _opened(self) -> Client:
        return self._open()

    @property
    def client(self) -> Client:
        """The client. The first to ask waits for the SDK to load: up to a second."""
        with self._opening:
            return self._opened

    def close(self) -> None:
        """Close the connections."""
        if "_opened" in vars(self):
            self._opened.close()

    def _times(self) -> tuple[float, httpx2.Timeout]:
        """When a request that begins now must end, on the monotonic clock, and its timeouts.

        Raises:
            DeadlineExceededError: no time is left.
        """
        seconds = deadline.remaining(self.total_seconds)
        timeout = httpx2.Timeout(
            min(seconds, self._idle_seconds), connect=min(seconds, self._connect_seconds)
        )
        return time.monotonic() + seconds, timeout

    def _safe(self, error: ModelError) -> ModelError:
        """The error without our key, should the endpoint repeat it."""
        error.args = (str(error).replace(self._api_key, "***"),)
        return error
