"""How near we come to the rate that the provider allows, and whether we ever exceed it.

    python -m tests.benchmarks.rate [--mails 20000] [--limit 10] [--workers 1 3]

So many mails become due at one instant, the provider allows so many requests in any one second and counts those that
reach it. Prints how long it took beside the shortest time possible, and the most requests in any one second.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from fixionmail.processes.redis import embedded_redis
from fixionmail.store import migrations
from fixionmail.store.embedded import embedded_postgres
from tests.benchmarks.mail.deployment import BODY, DUE
from tests.commands import until
from tests.faults.deployment import Deployment, deployment

_SENT = "select count(*) from scheduled_deliveries where state = 'sent'"
PROMISE = 1.15
"""At most so many times the shortest time possible."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run came to. ``seconds``: from the first request to the last; ``shortest``: at the limit's own pace."""

    workers: int
    requests: int
    seconds: float
    shortest: float
    busiest: int
    refused: int

    @property
    def keeps_both_promises(self) -> bool:
        """Neither too slow nor ever too fast."""
        return self.seconds <= PROMISE * self.shortest and self.refused == 0


def measure(mails: int, limit: int, workers: int) -> Run:
    """Drain it once."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_postgres(Path(folder)) as database_url,
        embedded_redis(Path(folder)) as redis_url,
    ):
        migrations.migrate(database_url)
        with deployment(Path(folder) / "home", database_url, redis_url, LOG_LEVEL="error") as made:
            return _drain(made, mails, limit, workers)


def _drain(made: Deployment, mails: int, limit: int, workers: int) -> Run:
    made.provider.rate.limit = limit
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(made.run("worker"))
        until(lambda: made.world.value("select count(*) from heartbeats") == workers, "the workers")
        stack.enter_context(made.run("delivery"))
        _make_due(made.database_url, 1)
        until(lambda: made.world.value(_SENT) == 1, "the first mail, whose answer names the limit")
        before = made.provider.requests
        _make_due(made.database_url, mails)
        until(lambda: made.world.value(_SENT) == mails + 1, "all mail", seconds=60 + mails / limit / 10)
    arrivals = made.provider.arrivals()[before:]
    return Run(
        workers=workers,
        requests=len(arrivals),
        seconds=arrivals[-1] - arrivals[0],
        shortest=(len(arrivals) - 1) / limit,
        busiest=made.provider.busiest_second(),
        refused=made.provider.answers["429"],
    )


def _make_due(url: str, mails: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DUE.encode(), {"mails": mails, "body": BODY})
        connection.execute("analyze")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--limit", type=int, default=10, help="requests in any one second")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 3])
    wanted = parser.parse_args()
    print("| workers | requests | seconds | times the shortest | busiest second | answered 429 |")
    print("|---|---|---|---|---|---|")
    for workers in wanted.workers:
        run = measure(wanted.mails, wanted.limit, workers)
        print(
            f"| {run.workers} | {run.requests} | {run.seconds:.2f} | {run.seconds / run.shortest:.3f} "
            f"| {run.busiest} of {wanted.limit} | {run.refused} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
