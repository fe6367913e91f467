"""`fixionmail processes`: the real programs, started from a terminal that is then closed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixionmail.processes.fleet import Fleet, ProcessLook
from tests.commands import Ended, processes_of, run, running, until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    run(tmp_path, "processes", "stop", "all")
    until(lambda: not processes_of(tmp_path), "everything to end")


def processes(home: Path, *arguments: str, **settings: str) -> Ended:
    return run(home, "processes", *arguments, **settings)


def listed(home: Path) -> dict[str, Any]:
    ended = processes(home, "list", "--json")
    assert ended.code == 0, ended
    return {process["name"]: process for process in ended.json()["processes"]}


def seen(home: Path, name: str) -> ProcessLook:
    """The same as is listed, without a command for each look."""
    return next(look for look in Fleet(home).look() if look.name == name)


def test_a_worker_killed_in_the_night_is_started_again_and_the_morning_is_told(
    home: Path, database_url: str, redis_url: str
) -> None:
    known = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "WORKER_CONCURRENCY": "2"}
    started = processes(home, "start", "worker", **known)
    assert (started.code, started.err) == (0, "")
    assert started.out.splitlines()[-1].startswith("worker-1: running (process ")
    before = listed(home)["worker-1"]

    psutil.Process(before["pid"]).kill()

    until(lambda: seen(home, "worker-1").restarts == 1, "a restart")
    until(lambda: seen(home, "worker-1").state == "running", "it to run again")
    after = listed(home)["worker-1"]
    assert after["pid"] != before["pid"]
    assert after["last_end"] == "killed by SIGKILL (perhaps out of memory)"
    assert after["rss_bytes"] > 10_000_000
    shown = processes(home, "list").out
    assert "worker-1" in shown
    assert "SIGKILL" in shown

    assert said_of_its_stop(home, after["pid"]) == [
        "worker-1: stopping; it finishes what it has begun ...",
        "worker-1: stopped",
    ]
    assert (listed(home)["worker-1"]["state"], listed(home)["worker-1"]["last_end"]) == ("stopped", "stopped")
    until(lambda: not processes_of(home), "the supervisor to leave")


def said_of_its_stop(home: Path, pid: int) -> list[str]:
    """What is said when worker-1 is stopped, which takes until that was seen to have begun."""
    said = home / "command.log"
    worker = psutil.Process(pid)
    worker.suspend()
    with running(home, "processes", "stop", "worker-1") as command:
        until(lambda: "stopping" in said.read_text(), "the beginning of its stop")
        worker.resume()
        assert command.wait(40) == 0
    return said.read_text().splitlines()


def test_a_program_that_cannot_work_is_exit_code_1_with_its_own_words(home: Path) -> None:
    started = processes(home, "start", "worker")

    assert started.code == 1
    assert "worker-1: backing off: exit code 2: A worker takes its jobs from Redis" in started.out


def test_logs_are_filtered_and_followed_until_ctrl_c(home: Path) -> None:
    processes(home, "start", "redis")
    shown = processes(home, "logs", "redis", "--filter", "READY TO ACCEPT")
    assert "Ready to accept connections" in shown.out
    assert len(shown.out.splitlines()) == 1

    with running(home, "processes", "logs", "redis", "--follow", "--filter", "kettle") as follower:
        (log,) = (home / "redis").glob("server.log")
        said = home / "command.log"

        def arrived() -> bool:
            with log.open("a") as file:
                file.write("the kettle \x1b[31mboils\nnothing else\n")
            return "the kettle" in said.read_text()

        until(arrived, "a line that was written since")
        follower.send_signal(signal.SIGINT)
        assert follower.wait(40) == 130
    assert "nothing else" not in said.read_text()
    assert "\x1b" not in said.read_text()


def test_a_bundled_server_that_dies_is_started_again(home: Path) -> None:
    processes(home, "start", "redis")
    before = listed(home)["redis"]["pid"]

    psutil.Process(before).kill()

    until(lambda: seen(home, "redis").pid not in (before, None), "another one")
    assert listed(home)["redis"]["restarts"] == 1


def test_without_a_database_a_bundled_postgres_is_started_with_a_program_and_supervised(home: Path) -> None:
    started = processes(home, "start", "scheduler", ENABLE_REDIS_QUEUE="false")
    assert started.code == 0, started
    before = listed(home)
    assert (before["postgres"]["state"], before["scheduler-1"]["state"]) == ("running", "running")

    psutil.Process(before["postgres"]["pid"]).kill()

    until(lambda: seen(home, "postgres").pid not in (before["postgres"]["pid"], None), "another one")
    assert listed(home)["scheduler-1"]["pid"] == before["scheduler-1"]["pid"]


def test_scaling_and_restarting_are_told(home: Path, database_url: str) -> None:
    known = {"DATABASE_URL": database_url, "ENABLE_REDIS_QUEUE": "false"}
    scaled = processes(home, "scale", "delivery", "2", "--json", **known)
    assert scaled.code == 0
    pids = {look["name"]: look["pid"] for look in scaled.json()["processes"]}
    assert set(pids) == {"delivery-1", "delivery-2"}

    processes(home, "scale", "delivery", "1", **known)
    assert set(listed(home)) == {"delivery-1"}
    restarted = processes(home, "restart", "delivery-1")
    assert restarted.code == 0
    assert listed(home)["delivery-1"]["pid"] != pids["delivery-1"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["start", "postman"], "No process is called 'postman'"),
        (["stop", "worker-7"], "worker-7 was never started"),
        (["scale", "redis", "2"], "There can be 0 to 1 of redis, not 2."),
        (["logs", "../../etc/passwd"], "No process is called"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    ended = processes(tmp_path, *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err


@pytest.mark.slow
def test_an_up_that_is_killed_leaves_its_work_to_the_next_one_which_stops_it_all_at_ctrl_c(
    home: Path,
) -> None:
    everything = {"worker-1", "scheduler-1", "delivery-1", "postgres", "redis"}

    def running_pids() -> dict[str, int]:
        return {name: look["pid"] for name, look in listed(home).items() if look["state"] == "running"}

    with running(home, "up") as first:
        until(lambda: set(running_pids()) == everything, "everything to run")
        refused = run(home, "up")
        assert refused.code == 1
        assert f"already runs here, in process {first.pid}" in refused.err
        before = running_pids()
        first.kill()
        first.wait()

    with running(home, "up") as second:
        said = home / "command.log"
        until(lambda: said.read_text().count("Mail goes to") == 2, "the next one")
        assert running_pids() == before
        second.send_signal(signal.SIGINT)
        assert second.wait(40) == 0
    assert {look["state"] for look in listed(home).values()} == {"stopped"}
    assert not processes_of(home)


def test_nothing_to_list_is_said_and_creates_nothing(tmp_path: Path) -> None:
    assert processes(tmp_path, "list").out.startswith("Nothing runs here.")
    assert list(tmp_path.iterdir()) == []
