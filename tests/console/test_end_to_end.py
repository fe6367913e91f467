"""The console in a real terminal on real processes: nothing between the keys and the screen is ours to pretend."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue

from tests.commands import command, environment
from tests.console.terminal import Screen, terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]
LAPSE_SECONDS = 150.0
"""RQ's own workers vouch for a job for a minute and more."""


@pytest.fixture
def screen(tmp_path: Path, redis_url: str) -> Iterator[Screen]:
    """The console on this test's Redis, in a terminal of its own."""
    settings = [f"{name}={value}" for name, value in environment(tmp_path).items()]
    program = ["env", "-i", *settings, "TERM=xterm-256color", *command("console", "--redis-url", redis_url)]
    with terminal(program) as shown:
        shown.until("every 2s")
        yield shown


@contextmanager
def rq_worker(redis_url: str, queue: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of RQ's own workers."""
    arguments = ["worker", "--url", redis_url, "--job-monitoring-interval", "1", queue]
    code = "from rq.cli import main; main()"
    worker = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(20)


def test_a_worker_lets_the_backlog_fall_and_a_failed_job_is_requeued_by_key(
    screen: Screen, redis_url: str, tmp_path: Path
) -> None:
    queue = Queue("work", connection=Redis.from_url(redis_url))
    missing = tmp_path / "missing"
    for _ in range(12):
        queue.enqueue("time.sleep", 0.05)
    failing = queue.enqueue("os.listdir", str(missing))
    screen.until(r"work +13 .*none")
    with rq_worker(redis_url, "work"):
        screen.until(r"work +0 ", 40)
        screen.press("3")
        screen.until("FileNotFoundError")
        missing.mkdir()
        screen.press("R")
        screen.until("1 is touched")
        screen.press("Enter")
        screen.until(r"1 of 1")
        screen.press("Enter")
        screen.until("No job has failed|0 failures")
    assert failing.get_status(refresh=True) == "finished"


def test_a_killed_worker_is_named_and_its_job_finishes_after_a_requeue(
    screen: Screen, redis_url: str
) -> None:
    queue = Queue("work", connection=Redis.from_url(redis_url))
    job = queue.enqueue("time.sleep", 6)
    with rq_worker(redis_url, "work") as worker:
        screen.until(r"work +0 .* 1 ")
        subprocess.run(["pkill", "-KILL", "-s", str(worker.pid)], check=True)  # it and the fork that works
        screen.until(r"lost the worker.* F ", LAPSE_SECONDS)
    screen.press("F")
    screen.until("touched")
    screen.press("Enter")
    screen.until(r"1 of 1")
    screen.press("Enter", "2")
    with rq_worker(redis_url, "work"):
        screen.until("finished", 40)
    assert job.get_status(refresh=True) == "finished"
