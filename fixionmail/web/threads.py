"""The bridge from the event loop to the synchronous core: threads, as many as there are, and no waiting room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from fixionmail.errors import UnreachableError

T = TypeVar("T")

THREADS = 16
MOST_UNDER_WAY = 128
"""More calls than this at a time are refused at once: while the database hangs, nothing piles up here."""


class BusyError(UnreachableError):
    """More is asked for than can be done at a time."""


class Threads:
    """Runs calls in threads of its own."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._under_way = 0

    async def run(self, call: Callable[..., T], *args: Any, **options: Any) -> T:
        """What ``call`` returns or raises.

        Raises:
            BusyError: too many calls are under way.
        """
        if self._under_way >= MOST_UNDER_WAY:
            raise BusyError("too many calls are under way")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, partial(call, *args, **options)
            )
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Wait for the calls under way; no more are taken."""
        self._pool.shutdown(wait=True)
