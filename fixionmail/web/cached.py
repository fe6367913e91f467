"""A value that many ask for and one fetches; while it cannot be fetched, the last one goes on being served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from fixionmail.errors import FixionMailError
from fixionmail.web.threads import Threads

T = TypeVar("T")

_log = structlog.get_logger("fixionmail.web")


@dataclass(frozen=True, kw_only=True)
class Aged(Generic[T]):
    """A value and its age in seconds. ``failing``: it could not be fetched anew."""

    value: T
    age: float
    failing: bool


class Cached(Generic[T]):
    """Fetches a value when somebody asks and the last fetch is ``seconds`` old; one fetch at a time.

    Args:
        fetch: runs in a thread.
        threads: where.
        seconds: how long a value, or a failure, is good for.
        patience: how long somebody who asks waits for a fetch.
    """

    def __init__(
        self, fetch: Callable[[], T], threads: Threads, *, seconds: float, patience: float = 3.0
    ) -> None:
        self._fetch = fetch
        self._threads = threads
        self._seconds = seconds
        self._patience = patience
        self._last: tuple[T, float] | None = None
        self._tried_at = float("-inf")
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> Aged[T] | None:
        """The value; None when there has never been one."""
        if self._task is None and time.monotonic() - self._tried_at >= self._seconds:
            self._task = asyncio.create_task(self._refresh())
        if self._task is not None and (self._last is None or not self._failing):
            await self._wait(self._task)
        if self._last is None:
            return None
        value, fetched_at = self._last
        return Aged(value=value, age=time.monotonic() - fetched_at, failing=self._failing)

    async def _wait(self, task: asyncio.Task[None]) -> None:
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            self._failing = True  # nobody else waits for it

    async def _refresh(self) -> None:
        try:
            self._last = (await self._threads.run(self._fetch), time.monotonic())
            self._failing = False
        except FixionMailError as error:
            self._failing = True
            _log.warning("could not look", reason=str(error))
        except Exception as error:  # the boundary: who asks is told that it failed, whatever it was
            self._failing = True
            _log.error("could not look", error=type(error).__name__, exc_info=error)
        finally:
            self._tried_at = time.monotonic()
            self._task = None
