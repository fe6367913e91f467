"""Running one peer once, and what is read off it."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis import Redis

from fixionmail.jobs.worker import NewJob, enqueue_many
from tests.benchmarks.worker import marks, work
from tests.benchmarks.worker.peers import URL, Kind, Peer, ours, stock
from tests.integration.worker.monitor import sent_commands
from tests.integration.worker.servers import RedisServer

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
"""Seconds after which a run that does not end is given up."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: jobs, seconds from the first begin to the last end, seconds from launch to the first begin, MiB."""

    jobs: int
    seconds: float
    start_seconds: float
    peak_mib: float


@contextmanager
def fresh_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def started(commands: Sequence[Sequence[str]], **environment: str) -> Iterator[list[psutil.Process]]:
    """Worker processes, ended with all their children."""
    env = {**os.environ, **environment}
    processes = [
        psutil.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        yield processes
    finally:
        family = [member for process in processes for member in [process, *process.children(recursive=True)]]
        for member in family:
            with _gone_is_fine():
                member.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=5)


def run(peer: Peer, kind: Kind) -> Run:
    """Fill a fresh server, start the peer's workers and wait until all is done."""
    jobs = peer.noops if kind == "noop" else peer.stories
    with fresh_server() as server, tempfile.TemporaryDirectory() as folder:
        peer.fill(server.url, kind, jobs)
        launched = time.monotonic()
        environment = {URL: server.url, marks.FOLDER: folder}
        with started(peer.commands(kind), **environment) as processes:
            peak = _watch(processes, Path(folder), jobs)
        totals = marks.totals(Path(folder))
    return Run(
        jobs=jobs, seconds=totals.seconds, start_seconds=totals.first - launched, peak_mib=peak / 1_048_576
    )


def _watch(processes: Sequence[psutil.Process], folder: Path, jobs: int) -> int:
    """Wait for the last job; returns the most memory all processes used together."""
    peak = 0
    ends_at = time.monotonic() + PATIENCE
    while marks.totals(folder).count < jobs:
        if time.monotonic() > ends_at:
            raise TimeoutError(f"only {marks.totals(folder).count} of {jobs} jobs were done")
        peak = max(peak, _memory(processes))
        time.sleep(0.05)
    return max(peak, _memory(processes))


def _memory(processes: Sequence[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with _gone_is_fine():
            total += sum(member.memory_info().rss for member in [process, *process.children(recursive=True)])
    return total


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


def latencies(which: str, jobs: int) -> list[float]:
    """Seconds from enqueue to start on an idle worker, one job at a time, sorted."""
    command = ours.command(50) if which == "ours" else stock.command("simple")
    with (
        fresh_server() as server,
        tempfile.TemporaryDirectory() as folder,
        Redis.from_url(server.url) as client,
    ):
        stamps = Path(folder) / "stamps"
        with started([command], **{URL: server.url, "BENCH_STAMPS": str(stamps)}):
            for number in range(jobs + 20):
                new = NewJob(id=f"s{number}", function=f"{work.HERE}.stamp", args=(time.monotonic(),))
                enqueue_many(client, "stories", [new])
                _await_line(stamps, number + 1)
                time.sleep(0.005)
        return sorted(float(line) for line in stamps.read_text().splitlines()[20:])


def _await_line(path: Path, count: int) -> None:
    ends_at = time.monotonic() + 30
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < ends_at, "a job was not run"
        time.sleep(0.001)


def percentile(values: Sequence[float], share: float) -> float:
    return statistics.quantiles(values, n=1000)[round(share * 1000) - 1]


def commands_per_job(which: str, jobs: int) -> float:
    """Commands clients send per job, from enqueue to finish, in bulk or (``jobs`` 1) for a single one."""
    peer, command = (
        (ours.ONE, ours.command(50)) if which == "ours" else (stock.SIMPLE, stock.command("simple"))
    )
    with (
        fresh_server() as server,
        tempfile.TemporaryDirectory() as folder,
        Redis.from_url(server.url) as client,
        started([command], **{URL: server.url, marks.FOLDER: folder}),
    ):
        peer.fill(server.url, "noop", 1)
        _await_jobs(client, 1)
        client.delete("rq:finished:stories")
        time.sleep(1.0)
        counted = sent_commands(server.url, lambda: _fill_and_rest(peer, server.url, jobs))
    return len([name for name in counted if name not in ("HELLO", "CLIENT")]) / jobs


def _fill_and_rest(peer: Peer, url: str, jobs: int) -> None:
    peer.fill(url, "noop", jobs)
    time.sleep(1.0 + jobs / 100)


def _await_jobs(client: Redis, jobs: int) -> None:
    ends_at = time.monotonic() + 30
    while client.zcard("rq:finished:stories") < jobs:
        assert time.monotonic() < ends_at, "the first job was not run"
        time.sleep(0.02)


def idle_commands(seconds: float) -> int:
    """Commands our worker sends in so many seconds with nothing to do, after its first ten."""
    with fresh_server() as server, started([ours.command(50)], **{URL: server.url}):
        time.sleep(10.0)
        return len(sent_commands(server.url, lambda: time.sleep(seconds)))
