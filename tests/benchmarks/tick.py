"""What a scheduler tick costs: by how many subscribers there are, and by how many are due.

    python -m tests.benchmarks.tick [--sizes 1000 100000] [--due 10000]

Prints medians of one run; compare the ratios, not the times.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from fixionmail.loops.scheduler import Scheduler
from fixionmail.models.subscribers import NewSubscriber
from fixionmail.schedule import Due, occurrences
from fixionmail.store import Store, migrations
from fixionmail.store.direct import DirectTransport
from fixionmail.store.embedded import embedded_postgres

ROUNDS = 200
PAGE = 2000


class CountingTransport:
    """A transport that counts its calls."""

    name = "counting"

    def __init__(self, inner: DirectTransport) -> None:
        self.inner = inner
        self.calls = 0

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.calls += 1
        return self.inner.call(function, arguments)

    def close(self) -> None:
        self.inner.close()


@dataclass
class NobodyRings:
    """A dispatcher that only counts."""

    mode: str = "queue"
    mode_since: datetime = field(default_factory=lambda: datetime.now(UTC))
    mode_reason: str = ""
    trouble: str = ""
    rung: int = 0

    def ring_stories(self, job_ids: Sequence[UUID]) -> None:
        self.rung += len(job_ids)

    def ring_mail(self, rounds: int) -> None:
        """Nobody rings for mail here."""

    def look_for_redis(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Nothing to close."""


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--due", type=int, default=10_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, embedded_postgres(Path(home)) as url:
        migrations.migrate(url)
        transport = CountingTransport(DirectTransport(url, 2))
        store = Store.over(transport)
        fence = store.leases.acquire(name="scheduler", holder="bench", ttl_seconds=86_400, info={}).fence
        _measure_idle(store, transport, fence, wanted.sizes)
        _measure_due(store, transport, fence, wanted.due)
        store.close()


def _measure_idle(store: Store, transport: CountingTransport, fence: int, sizes: Sequence[int]) -> None:
    print(f"{'subscribers':>12} {'none due, ms':>13} {'calls':>6} {'ratio':>6}")
    first: float | None = None
    have = 0
    for size in sizes:
        _add(store, size - have, due=False, start=have)
        have = size
        median, calls = _ticks(store, transport, fence, ROUNDS)
        first = first or median
        print(f"{size:>12,} {median * 1000:>13.3f} {calls:>6} {median / first:>6.2f}")


def _measure_due(store: Store, transport: CountingTransport, fence: int, due: int) -> None:
    _add(store, due, due=True, start=10_000_000)
    took, calls = _ticks(store, transport, fence, 1)
    print(f"{due:,} due: {took:.2f} s, {calls} calls, {took / due * 1e6:.0f} us each")


def _ticks(store: Store, transport: CountingTransport, fence: int, rounds: int) -> tuple[float, int]:
    """Median seconds of a tick, and how many database calls one makes."""
    loop = Scheduler(store=store, dispatcher=NobodyRings(), lead=timedelta(minutes=30), sweep_seconds=3600)
    before = transport.calls
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        loop.tick(fence, datetime.now(UTC))
        times.append(time.perf_counter() - started)
    return statistics.median(times), (transport.calls - before) // rounds


def _add(store: Store, count: int, *, due: bool, start: int) -> None:
    now = datetime.now(UTC)
    at = f"{now:%H:%M}" if due else f"{now + timedelta(hours=12):%H:%M}"
    first = next(
        d
        for d in occurrences(timezone="UTC", delivery_time=at, from_date=now.date())
        if due or d.due_at > now
    )
    for page in range(start, start + count, PAGE):
        store.subscribers.add(
            [_subscriber(n, at, first) for n in range(page, min(page + PAGE, start + count))]
        )


def _subscriber(number: int, at: str, due: Due) -> NewSubscriber:
    return NewSubscriber(
        user_id=uuid7(),
        email=f"reader{number}@example.com",
        timezone="UTC",
        delivery_time=at,
        story_bible={},
        unsubscribe_token=f"token-{number}",
        due=due,
    )


if __name__ == "__main__":
    main()
