"""Mails a second from due to recorded sent, rendering and all database work included.

    python -m tests.benchmarks.mail [--mails 20000] [--singles 1000] [--rounds 3]

Prints medians of several rounds that go through all contestants in turn; compare the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from redis import Redis

from fixionmail.jobs.dispatch import QueueDispatcher
from fixionmail.jobs.names import MAX_LANES
from tests.benchmarks.mail.deployment import deployment
from tests.benchmarks.mail.peers import PEERS, MailPeer
from tests.commands import command

OURS = "FixionMail, rounds of 100 per request, 2 processes"
PACED = 150.0
"""Requests a second at which our line packs a hundred mails into each, and which we do not reach."""
UNPACED = 100_000.0
"""Nobody waits for a slot."""


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=20_000, help="for FixionMail")
    parser.add_argument("--singles", type=int, default=1_000, help="for those that send one by one")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    peers = [peer for peer in PEERS if peer.is_installed()]
    rates: dict[str, list[float]] = {OURS: [], **{peer.name: [] for peer in peers}}
    for _ in range(wanted.rounds):
        rates[OURS].append(_ours(wanted.mails))
        for peer in peers:
            rates[peer.name].append(_theirs(peer, wanted.singles))
    _print({name: statistics.median(found) for name, found in rates.items()})


def _ours(mails: int) -> float:
    with deployment(mails, PACED) as here:
        ringer = QueueDispatcher(here.redis_url, story_timeout=900, mail_timeout=120)
        workers = [command("run", "worker", "--concurrency", "8")] * 2
        with _started(workers, here.environment):
            _until(lambda: _workers(here.redis_url) == len(workers))
            ringer.ring_mail(MAX_LANES)
            rate = here.mails_per_second(mails)
        ringer.close()
        return rate


def _theirs(peer: MailPeer, mails: int) -> float:
    with deployment(mails, UNPACED) as here:
        path = {"PYTHONPATH": os.getcwd()}
        peer.fill(mails, here.environment | path)
        with _started(peer.workers, here.environment | path):
            return here.mails_per_second(mails)


@contextmanager
def _started(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Iterator[None]:
    processes = [
        subprocess.Popen(line, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for line in commands
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _workers(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.scard("rq:workers"))


def _until(true: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 60
    while not true():
        assert time.monotonic() < ends_at, "the workers did not start"
        time.sleep(0.05)


def _print(rates: Mapping[str, float]) -> None:
    base = min(rates.values())
    sys.stdout.write("| | mails/s | times the slowest |\n|---|---|---|\n")
    for name, rate in rates.items():
        sys.stdout.write(f"| {name} | {rate:,.0f} | {rate / base:.1f} |\n")


if __name__ == "__main__":
    main()
