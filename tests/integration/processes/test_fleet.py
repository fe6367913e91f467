"""What an operator can do with processes, and what the supervisor does for them."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fixionmail.errors import InputError
from fixionmail.processes.fleet import Fleet, ProcessLook
from fixionmail.processes.supervisor import supervising
from tests.commands import until
from tests.integration.processes.programs import (
    FAILS,
    FINISHES,
    LINGERS,
    SLEEPS,
    STUBBORN,
    fleet_of,
    pid_of,
    seen,
    seen_as,
)
from tests.standins.supervisor import HURRIED, LENIENT


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that this process supervises."""
    home = tmp_path / "a home"
    with supervising(home, LENIENT):
        yield home


@pytest.fixture
def impatient_home(tmp_path: Path) -> Iterator[Path]:
    """A home whose supervisor kills what does not stop within a second."""
    home = tmp_path / "impatient"
    with supervising(home, HURRIED):
        yield home


@pytest.fixture
def pausing_home(tmp_path: Path) -> Iterator[Path]:
    """A home whose supervisor pauses for longer than a test takes before it starts again what has died."""
    home = tmp_path / "pausing"
    with supervising(home, replace(HURRIED, first_pause=600.0, longest_pause=600.0)):
        yield home


def log_of(home: Path, name: str) -> str:
    file = home / "logs" / f"{name}.log"
    return file.read_text() if file.exists() else ""


def states(fleet: Fleet) -> dict[str, str]:
    return {look.name: look.state for look in fleet.look()}


def noted(steps: list[str], gate: Path) -> Callable[[ProcessLook], None]:
    """Note each step; what stops may end once that was noted."""

    def note(look: ProcessLook) -> None:
        steps.append(look.state)
        if look.state == "stopping":
            gate.touch()

    return note


class TestRunning:
    def test_a_started_process_is_shown_with_what_it_uses(self, home: Path) -> None:
        fleet = fleet_of(home)

        assert fleet.start("worker") == ("worker-1",)

        look = seen_as(fleet, "worker-1", "running")
        assert (look.kind, look.restarts, look.last_end, look.note) == ("worker", 0, "", "")
        assert look.pid is not None
        assert look.uptime is not None
        assert look.uptime < 60
        assert look.rss is not None
        assert look.rss > 1_000_000
        assert look.cpu is not None
        assert look.since is not None

    def test_it_is_shown_how_much_it_computes(self, home: Path) -> None:
        fleet = fleet_of(home, "while True: pass")
        fleet.start("worker")
        seen_as(fleet, "worker-1", "running")

        until(lambda: (seen(fleet, "worker-1").cpu or 0) > 10, "it to be seen at work")

    def test_a_process_gets_its_own_settings_and_none_of_its_supervisors(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORKER_CONCURRENCY", "7")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
        source = (
            "import os, time; print({k: v for k, v in os.environ.items() if k in "
            "('WORKER_CONCURRENCY', 'HTTPS_PROXY', 'LOG_LEVEL')}, flush=True); time.sleep(600)"
        )
        fleet = fleet_of(home, source, environment={"LOG_LEVEL": "debug"})
        fleet.start("worker")

        said = until(lambda: log_of(home, "worker-1"), "its environment")
        assert "'LOG_LEVEL': 'debug'" in said
        assert "'HTTPS_PROXY': 'http://proxy.example'" in said
        assert "WORKER_CONCURRENCY" not in said

    def test_the_files_that_hold_settings_are_private(self, home: Path) -> None:
        fleet_of(home, environment={"RESEND_API_KEY": "re_s3cret"}).start("worker")

        holders = [file for file in home.rglob("*.json") if "re_s3cret" in file.read_text()]
        assert [file.name for file in holders] == ["wanted.json"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in holders} == {0o600}
        assert stat.S_IMODE((home / "processes").stat().st_mode) == 0o700

    def test_its_settings_are_in_no_look_and_no_repr(self, home: Path) -> None:
        fleet = fleet_of(home, environment={"RESEND_API_KEY": "re_s3cret"})
        fleet.start("worker")

        assert "re_s3cret" not in repr(seen_as(fleet, "worker-1", "running"))
        assert "re_s3cret" not in (home / "processes" / "seen.json").read_text()

    def test_what_runs_already_is_left_as_it_is(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        before = pid_of(fleet, "worker-1")

        fleet.start("worker", 2)

        pid_of(fleet, "worker-2")
        assert pid_of(fleet, "worker-1") == before

    @pytest.mark.parametrize(
        "name", ["postman", "worker-0", "worker-x", "worker-99", "redis-1", "../worker-1", ""]
    )
    def test_what_is_no_process_is_refused_in_words(self, home: Path, name: str) -> None:
        with pytest.raises(InputError, match=r"No process is called|was never started"):
            fleet_of(home).start(name)
        assert states(fleet_of(home)) == {}

    def test_looking_at_a_home_without_processes_creates_nothing(self, tmp_path: Path) -> None:
        fleet = fleet_of(tmp_path / "nowhere")

        assert fleet.look() == ()
        assert fleet.supervisor_pid() is None
        assert fleet.log("worker-1").tail(10) == []
        assert not (tmp_path / "nowhere").exists()


class TestDying:
    def test_a_process_that_is_killed_is_started_again_and_the_signal_told(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        before = pid_of(fleet, "worker-1")

        os.kill(before, signal.SIGKILL)

        until(lambda: seen(fleet, "worker-1").restarts == 1, "a restart")
        after = seen_as(fleet, "worker-1", "running")
        assert after.pid != before
        assert after.last_end == "killed by SIGKILL (perhaps out of memory)"

    def test_an_exit_code_comes_with_the_last_line_of_the_log(self, pausing_home: Path) -> None:
        fleet = fleet_of(pausing_home, FAILS)
        fleet.start("worker")

        look = seen_as(fleet, "worker-1", "backing off")
        assert look.last_end == "exit code 3: the kettle is broken"

    def test_a_process_that_says_nothing_is_not_given_another_ones_last_line(
        self, pausing_home: Path
    ) -> None:
        fleet = fleet_of(pausing_home, "import sys; sys.exit(4)")
        (pausing_home / "logs" / "worker-1.log").write_text("from last year\n")
        fleet.start("worker")

        assert seen_as(fleet, "worker-1", "backing off").last_end == "exit code 4"

    def test_one_that_dies_again_and_again_is_called_crash_looping_and_still_tried(self, home: Path) -> None:
        fleet = fleet_of(home, FAILS)
        fleet.start("worker")

        look = seen_as(fleet, "worker-1", "crash-looping")
        assert look.restarts >= HURRIED.loop_after - 1
        assert "the kettle is broken" in look.log
        until(lambda: seen(fleet, "worker-1").restarts > look.restarts, "another try")

    def test_a_restart_after_the_repair_begins_with_a_clean_slate(self, home: Path) -> None:
        kettle = home / "kettle"
        source = f"import os, sys, time; time.sleep(600) if os.path.exists({str(kettle)!r}) else sys.exit(3)"
        fleet = fleet_of(home, source)
        fleet.start("worker")
        seen_as(fleet, "worker-1", "crash-looping")

        kettle.touch()
        fleet.restart("worker-1")

        def is_as_new() -> bool:  # before the restart, another try may have found the kettle
            look = seen(fleet, "worker-1")
            return (look.state, look.restarts, look.last_end) == ("running", 0, "")

        until(is_as_new, "a clean slate")

    def test_a_program_that_is_not_there_is_told_as_such(self, pausing_home: Path) -> None:
        fleet = fleet_of(pausing_home, argv=("/nowhere/kettle",))
        fleet.start("worker")

        assert "cannot be started: " in seen_as(fleet, "worker-1", "backing off").last_end
        assert "/nowhere/kettle" in seen(fleet, "worker-1").last_end

    def test_others_are_not_touched_when_one_dies(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker", 2)
        first, second = pid_of(fleet, "worker-1"), pid_of(fleet, "worker-2")

        os.kill(first, signal.SIGKILL)

        until(lambda: seen(fleet, "worker-1").restarts == 1, "a restart")
        assert pid_of(fleet, "worker-2") == second


class TestStopping:
    def test_a_stopped_process_finishes_what_it_has_begun_and_stays_stopped(self, home: Path) -> None:
        fleet = fleet_of(home, FINISHES)
        fleet.start("worker")
        until(lambda: "ready" in log_of(home, "worker-1"), "it to be ready")

        assert fleet.stop("worker-1") == ("worker-1",)

        look = seen_as(fleet, "worker-1", "stopped")
        assert (look.pid, look.restarts, look.last_end) == (None, 0, "stopped")
        assert "finished what it had begun" in log_of(home, "worker-1")

    def test_one_that_does_not_stop_in_time_is_killed_and_that_is_told(self, impatient_home: Path) -> None:
        fleet = fleet_of(impatient_home, STUBBORN)
        fleet.start("worker")
        until(lambda: "ready" in log_of(impatient_home, "worker-1"), "it to be ready")

        fleet.stop("worker-1")

        look = seen_as(fleet, "worker-1", "stopped")
        assert look.last_end == "did not stop within 1 s and was killed"

    def test_whoever_waits_is_told_each_step(self, home: Path) -> None:
        gate = home / "gate"
        fleet = fleet_of(home, LINGERS.format(gate=str(gate)))
        steps: list[str] = []
        fleet.settled(fleet.start("worker"), on_change=lambda look: steps.append(look.state))
        until(lambda: "ready" in log_of(home, "worker-1"), "it to be ready")

        looks = fleet.settled(fleet.stop("worker"), on_change=noted(steps, gate))

        assert [look.state for look in looks] == ["stopped"]
        assert steps[-3:] == ["running", "stopping", "stopped"]

    def test_whoever_waits_is_told_of_a_stop_that_had_begun_before(self, home: Path) -> None:
        gate = home / "gate"
        fleet = fleet_of(home, LINGERS.format(gate=str(gate)))
        steps: list[str] = []
        fleet.start("worker")
        until(lambda: "ready" in log_of(home, "worker-1"), "it to be ready")

        stopping = fleet.stop("worker")
        seen_as(fleet, "worker-1", "stopping")
        fleet.settled(stopping, on_change=noted(steps, gate))

        assert steps == ["stopping", "stopped"]

    def test_a_stop_reaches_one_that_waits_for_its_next_start(self, pausing_home: Path) -> None:
        fleet = fleet_of(pausing_home, FAILS)
        fleet.start("worker")
        seen_as(fleet, "worker-1", "backing off")

        fleet.stop("worker-1")

        assert seen_as(fleet, "worker-1", "stopped").last_end == "exit code 3: the kettle is broken"

    def test_a_restart_lets_it_finish_first_and_keeps_its_settings(self, home: Path) -> None:
        fleet = fleet_of(home, FINISHES + "\n# as it was started\n")
        fleet.start("worker")
        until(lambda: "ready" in log_of(home, "worker-1"), "it to be ready")
        before = pid_of(fleet, "worker-1")

        fleet_of(home, "another program").restart("worker-1")

        until(lambda: seen(fleet, "worker-1").pid not in (before, None), "another process")
        assert "finished what it had begun" in log_of(home, "worker-1")
        assert psutil.Process(pid_of(fleet, "worker-1")).cmdline()[-1].endswith("# as it was started\n")

    def test_stopped_and_started_again_it_takes_new_settings(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid_of(fleet, "worker-1")
        fleet.stop("worker-1")
        seen_as(fleet, "worker-1", "stopped")

        fleet_of(home, f"# new\n{SLEEPS}").start("worker-1")

        assert psutil.Process(pid_of(fleet, "worker-1")).cmdline()[-1].startswith("# new")

    def test_a_kind_and_all_stand_for_several(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker", 2)
        fleet.start("scheduler")

        assert set(fleet.stop("worker")) == {"worker-1", "worker-2"}
        assert set(fleet.stop("all")) == {"worker-1", "worker-2", "scheduler-1"}
        fleet.settled(fleet.stop("all"))
        assert set(states(fleet).values()) == {"stopped"}

    def test_a_server_stays_until_the_programs_on_it_have_finished(self, home: Path) -> None:
        port = home / "redis" / "port"
        source = (
            "import signal, socket, sys, time\n"
            "def finish(*_):\n"
            "    time.sleep(0.3)\n"
            f"    socket.create_connection(('127.0.0.1', int(open({str(port)!r}).read())))\n"
            "    print('the server was there to the end', flush=True)\n"
            "    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, finish)\n"
            "print('ready', flush=True)\n"
            "time.sleep(600)\n"
        )
        fleet = fleet_of(home, source)
        fleet.settled([*fleet.start("redis"), *fleet.start("worker")])
        until(lambda: "ready" in log_of(home, "worker-1"), "it to be ready")

        fleet.settled(fleet.stop("all"))

        assert states(fleet) == {"worker-1": "stopped", "redis": "stopped"}
        assert "the server was there to the end" in log_of(home, "worker-1")

    def test_nothing_can_be_done_to_one_that_was_never_started(self, home: Path) -> None:
        with pytest.raises(InputError, match=r"worker-3 was never started"):
            fleet_of(home).stop("worker-3")

    def test_what_it_has_started_itself_is_killed_with_it(self, impatient_home: Path) -> None:
        source = (
            "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
            "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True); "
            "time.sleep(600)"
        )
        fleet = fleet_of(impatient_home, source)
        fleet.start("worker")
        grandchild = int(until(lambda: log_of(impatient_home, "worker-1").strip(), "its child"))

        fleet.settled(fleet.stop("worker-1"))

        until(
            lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == "zombie",
            "its end",
        )


class TestScaling:
    def test_more_are_started_beside_those_that_run(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        before = pid_of(fleet, "worker-1")

        assert fleet.scale("worker", 3) == ("worker-1", "worker-2", "worker-3")

        for name in ("worker-2", "worker-3"):
            pid_of(fleet, name)
        assert pid_of(fleet, "worker-1") == before

    def test_the_highest_numbers_finish_and_are_forgotten(self, home: Path) -> None:
        fleet = fleet_of(home, FINISHES)
        fleet.scale("worker", 3)
        for name in ("worker-1", "worker-2", "worker-3"):
            pid_of(fleet, name)
            until(lambda name=name: "ready" in log_of(home, name), "it to be ready")  # type: ignore[misc]
        first = pid_of(fleet, "worker-1")

        fleet.scale("worker", 1)

        until(lambda: states(fleet) == {"worker-1": "running"}, "the others to go")
        assert pid_of(fleet, "worker-1") == first
        assert "finished what it had begun" in log_of(home, "worker-2")
        assert "finished what it had begun" in log_of(home, "worker-3")

    def test_scaling_to_none_leaves_the_other_kinds(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.scale("worker", 2)
        fleet.start("scheduler")

        fleet.scale("worker", 0)

        until(lambda: states(fleet) == {"scheduler-1": "running"}, "the workers to go")

    @pytest.mark.parametrize(
        ("kind", "copies"), [("redis", 2), ("worker", -1), ("worker", 65), ("postman", 1)]
    )
    def test_what_cannot_be_scaled_so_is_refused(self, home: Path, kind: str, copies: int) -> None:
        with pytest.raises(InputError):
            fleet_of(home).scale(kind, copies)
