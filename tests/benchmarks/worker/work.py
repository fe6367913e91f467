"""The jobs that are timed."""

from __future__ import annotations

import asyncio
import os
import time

from tests.benchmarks.worker import marks

HERE = "tests.benchmarks.worker.work"


def noop(number: int) -> None:
    """Nothing: what is left is the cost of the queue itself."""
    marks.begin()
    marks.end()


def story(number: int) -> None:
    """Wait a second, as a story waits for its model."""
    marks.begin()
    time.sleep(1.0)
    marks.end()


async def story_async(number: int) -> None:
    """The same for peers that run coroutines."""
    marks.begin()
    await asyncio.sleep(1.0)
    marks.end()


def stamp(enqueued_at: float) -> None:
    """Leave the seconds from enqueue to start."""
    waited = time.monotonic() - enqueued_at
    with open(os.environ["BENCH_STAMPS"], "a") as file:
        file.write(f"{waited}\n")
