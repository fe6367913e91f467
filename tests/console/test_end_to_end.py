"""The console in a real terminal on real processes: nothing between the keys and the screen is ours to pretend."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from rq import Queue

from fixionmail.store import Store, embedded
from fixionmail.store.direct import DirectTransport
from tests.commands import command, environment, run
from tests.console.terminal import Screen, terminal
from tests.contract.store.world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]
LAPSE_SECONDS = 150.0
"""RQ's own workers vouch for a job for a minute and more."""


@contextmanager
def console(home: Path, *arguments: str, columns: int = 120, rows: int = 36) -> Iterator[Screen]:
    """The console of ``home``, in a terminal of its own."""
    hurried = environment(home, CHECK_INTERVAL_SECONDS="2")  # so that what it starts soon takes notice
    settings = [f"{name}={value}" for name, value in hurried.items()]
    program = ["env", "-i", *settings, "TERM=xterm-256color", *command("console", *arguments)]
    with terminal(program, columns, rows) as shown:
        shown.until("every 2s")
        yield shown


@pytest.fixture
def screen(tmp_path: Path, redis_url: str) -> Iterator[Screen]:
    """The console on this test's Redis."""
    with console(tmp_path, "--redis-url", redis_url) as shown:
        yield shown


@pytest.fixture
def small_screen(tmp_path: Path) -> Iterator[Screen]:
    """The console of a home in which nothing runs, in the smallest terminal; what it starts is stopped afterwards."""
    with console(tmp_path, columns=80, rows=24) as shown:
        yield shown
    run(tmp_path, "processes", "stop", "all")


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


def cured(screen: Screen, named: str) -> None:
    """Three keys from the trouble that stands first to its end, by what the screen says."""
    screen.until(f"{named}.* F ", 60)
    screen.press("F")
    screen.until("⏎ do it")
    screen.press("Enter")
    screen.until("⏎ close", 60)
    screen.press("Enter")
    screen.until_gone(named)


def test_where_nothing_runs_three_keys_start_everything_and_three_more_cure_what_follows(
    small_screen: Screen, tmp_path: Path
) -> None:
    cured(small_screen, "The bundled database does not run")
    small_screen.until("All is well", 60)
    small_screen.until("queue mode", 60)
    assert run(tmp_path, "db", "hold", "--reason", "wrong template").code == 0
    cured(small_screen, "All mail is held")
    assert run(tmp_path, "processes", "stop", "scheduler").code == 0
    cured(small_screen, "No scheduler runs")
    small_screen.until("All is well", 60)


def test_what_was_sent_twice_is_repaired_with_its_constraint_by_one_cure(
    small_screen: Screen, tmp_path: Path
) -> None:
    assert run(tmp_path, "processes", "start", "postgres").code == 0
    assert run(tmp_path, "db", "migrate").code == 0
    url = embedded.running_url(tmp_path)
    assert url is not None
    with psycopg.connect(url, autocommit=True) as connection:
        world = World(Store.over(DirectTransport(url, 1)), connection)
        world.change("alter table scheduled_deliveries drop constraint unique_story_delivery")
        _, (first, second) = world.sent(2)
        story = world.row("scheduled_deliveries", first)["story_id"]
        world.change("update scheduled_deliveries set story_id = %s where id = %s", story, second)
        world.change("update scheduled_deliveries set local_date = current_date")
        cured(small_screen, "One story was mailed more than once")
        small_screen.until_gone("protection against second mails")
        assert world.column("select id from scheduled_deliveries") == [min((first, second), key=str)]
        world.store.close()


def test_what_an_audit_finds_is_cured_row_by_row_until_nothing_is_left(
    screen: Screen, redis_url: str
) -> None:
    client = Redis.from_url(redis_url)
    queue = Queue("work", connection=client)
    for name in ("lost", "twice", "gone"):
        queue.enqueue("time.sleep", 0, job_id=name)
    client.lrem("rq:queue:work", 1, "lost")
    client.rpush("rq:queue:work", "twice")
    client.delete("rq:job:gone")
    screen.press("6", "a")
    screen.until("audited: 3 findings")
    for left in ("2 findings", "1 finding ", "0 findings"):
        screen.press("F")
        screen.until("⏎ do it")
        screen.press("Enter")
        screen.until("⏎ close")
        screen.press("Enter")
        screen.until(f"audited: {left}")
    assert sorted(client.lrange("rq:queue:work", 0, -1)) == [b"lost", b"twice"]
