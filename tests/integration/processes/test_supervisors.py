"""Supervisors come and go, in the background, in a terminal and by kill -9; what they supervise goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fixionmail.errors import EngineError
from fixionmail.processes.fleet import UNSUPERVISED, Fleet
from fixionmail.processes.handles import UNKNOWN_END
from fixionmail.processes.identity import Identity, find, identify
from fixionmail.processes.ledger import Ledger, Seen
from fixionmail.processes.supervisor import supervising
from tests.commands import until
from tests.integration.processes.programs import FINISHES, REPOSITORY, SLEEPS, fleet_of, pid_of, seen, seen_as
from tests.standins.supervisor import LENIENT

BACKGROUND = (sys.executable, "-P", "-m", "tests.standins.supervisor")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose processes are ended in the end, whoever supervises them."""
    home = tmp_path / "home"
    yield home
    fleet = fleet_of(home)
    if fleet.look():
        fleet.settled(fleet.stop("all"))
        until(lambda: fleet.supervisor_pid() is None, "the supervisor to leave")


def kill_supervisor(fleet: Fleet) -> None:
    pid = fleet.supervisor_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: fleet.supervisor_pid() is None, "the supervisor to be dead")


class TestInTheBackground:
    def test_the_first_start_brings_a_supervisor_that_is_nobodys_child(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid_of(fleet, "worker-1")

        supervisor = fleet.supervisor_pid()
        assert supervisor is not None
        assert supervisor not in [child.pid for child in psutil.Process().children()]
        assert os.getsid(supervisor) != os.getsid(0)

    def test_a_second_terminal_finds_the_same_processes(self, home: Path) -> None:
        first = fleet_of(home)
        first.start("worker")
        pid = pid_of(first, "worker-1")

        second = fleet_of(home)
        assert seen(second, "worker-1").pid == pid
        assert second.supervisor_pid() == first.supervisor_pid()

    def test_it_leaves_when_everything_is_stopped(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid_of(fleet, "worker-1")
        fleet.settled(fleet.stop("all"))

        until(lambda: fleet.supervisor_pid() is None, "the supervisor to leave")
        assert seen(fleet, "worker-1").state == "stopped"

    def test_a_start_while_it_leaves_is_not_lost(self, home: Path) -> None:
        fleet = fleet_of(home)
        for _ in range(3):
            fleet.start("worker")
            pid_of(fleet, "worker-1")
            fleet.settled(fleet.stop("worker"))

    def test_many_at_once_are_one(self, home: Path) -> None:
        with suppress(FileExistsError):
            home.mkdir()
        ledger = Ledger(home)
        ledger.prepare()
        fleet = fleet_of(home)
        with supervising(home, LENIENT):  # so that the plan is there before they come
            fleet.start("worker")
            fleet.settled(fleet.stop("worker"))
        plan = ledger.plan()
        with ledger.turn():
            ledger.write_plan(replace(plan, wanted={"worker-1": plan.wanted["worker-1"].again()}))
        starts = [subprocess.Popen([*BACKGROUND, str(home)], cwd=REPOSITORY) for _ in range(4)]
        assert [start.wait(60) for start in starts] == [0, 0, 0, 0]

        pid = pid_of(fleet, "worker-1")
        until(lambda: len(supervisors_of(home)) == 1, "the others to leave")
        assert supervisors_of(home) == [fleet.supervisor_pid()]
        assert seen(fleet, "worker-1").pid == pid
        assert seen(fleet, "worker-1").restarts == 0

    def test_a_terminated_one_stops_everything_first(self, home: Path) -> None:
        fleet = fleet_of(home, FINISHES)
        fleet.start("worker")
        until(lambda: "ready" in fleet.log("worker-1").tail(1), "it to be ready")
        supervisor = fleet.supervisor_pid()
        assert supervisor is not None

        os.kill(supervisor, signal.SIGTERM)

        until(lambda: fleet.supervisor_pid() is None, "the supervisor to end")
        assert seen(fleet, "worker-1").state == "stopped"
        assert "finished what it had begun" in fleet.log("worker-1").tail(2)

    def test_a_home_may_lie_deeper_than_a_socket_could(self, home: Path) -> None:
        deep = home / ("long" * 50) / 'für Ελένη\'s "home"'
        fleet = fleet_of(deep)
        fleet.start("worker")
        pid_of(fleet, "worker-1")

        fleet.settled(fleet.stop("all"))
        until(lambda: fleet.supervisor_pid() is None, "the supervisor to leave")

    def test_a_supervisor_that_cannot_begin_is_told_with_its_own_words(self, home: Path) -> None:
        fleet = Fleet(home, supervisor=(sys.executable, "-c", "import sys; sys.exit('no kettle')"))
        with pytest.raises(EngineError, match="no kettle"):
            fleet.start("worker")

    def test_a_damaged_plan_is_named(self, home: Path) -> None:
        Ledger(home).prepare()
        (home / "processes" / "wanted.json").write_text("{")

        with pytest.raises(EngineError, match=r"wanted\.json cannot be read"):
            fleet_of(home).look()
        (home / "processes" / "wanted.json").unlink()


def supervisors_of(home: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"]
        and process.info["cmdline"][-2:] == ["tests.standins.supervisor", str(home)]
    ]


class TestAfterAKill:
    def test_what_it_supervised_goes_on_and_says_that_nobody_supervises_it(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid = pid_of(fleet, "worker-1")

        kill_supervisor(fleet)

        look = seen(fleet, "worker-1")
        assert (look.pid, look.state, look.note) == (pid, "running", UNSUPERVISED)

    def test_when_one_died_that_nobody_supervised_is_not_known(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid = pid_of(fleet, "worker-1")
        kill_supervisor(fleet)
        os.kill(pid, signal.SIGKILL)
        assert seen_as(fleet, "worker-1", "failed").since is None

    def test_the_next_one_adopts_what_runs_and_starts_it_again_when_it_dies(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid = pid_of(fleet, "worker-1")
        kill_supervisor(fleet)

        fleet.start("scheduler")

        pid_of(fleet, "scheduler-1")
        assert (seen(fleet, "worker-1").pid, seen(fleet, "worker-1").note) == (pid, "")
        os.kill(pid, signal.SIGKILL)
        until(lambda: seen(fleet, "worker-1").restarts == 1, "a restart")
        assert seen_as(fleet, "worker-1", "running").last_end == UNKNOWN_END

    def test_an_adopted_process_is_asked_to_stop_as_any_other(self, home: Path) -> None:
        fleet = fleet_of(home, FINISHES)
        fleet.start("worker")
        until(lambda: "ready" in fleet.log("worker-1").tail(1), "it to be ready")
        kill_supervisor(fleet)

        fleet.settled(fleet.stop("worker-1"))

        assert (seen(fleet, "worker-1").state, seen(fleet, "worker-1").last_end) == ("stopped", "stopped")
        assert "finished what it had begun" in fleet.log("worker-1").tail(2)

    def test_what_died_in_the_meantime_is_shown_as_failed_and_started_by_the_next_one(
        self, home: Path
    ) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid = pid_of(fleet, "worker-1")
        kill_supervisor(fleet)
        os.kill(pid, signal.SIGKILL)
        until(lambda: seen(fleet, "worker-1").state == "failed", "it to be shown as failed")

        fleet.start("scheduler")

        after = seen_as(fleet, "worker-1", "running")
        assert after.pid != pid
        assert after.last_end == "ended while nobody supervised it"


class TestStrangers:
    """A process id in our files may belong to somebody else by now."""

    @pytest.fixture
    def stranger(self) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", SLEEPS]) as process:
            identity = identify(process.pid, tuple(process.args))  # type: ignore[arg-type]
            assert identity is not None
            until(lambda: find(identity), "its command line to be there")
            yield process
            process.kill()

    def claim(self, home: Path, identity: Identity) -> Fleet:
        """Make the files say that worker-1 is this process."""
        fleet = fleet_of(home)
        with supervising(home, LENIENT):
            fleet.start("worker")
            pid_of(fleet, "worker-1")
            record = Ledger(home).seen().records["worker-1"]
            plan = Ledger(home).plan()
        ledger = Ledger(home)
        ledger.write_seen(Seen(records={"worker-1": replace(record, identity=identity)}))
        with ledger.turn():
            ledger.write_plan(plan)
        return fleet

    def test_one_with_another_beginning_is_never_taken_for_ours(
        self, home: Path, stranger: subprocess.Popen[bytes]
    ) -> None:
        known = identify(stranger.pid, tuple(stranger.args))  # type: ignore[arg-type]
        assert known is not None
        fleet = self.claim(home, replace(known, born=known.born - 10))

        self.assert_left_alone(fleet, stranger)

    def test_one_with_another_command_line_is_never_taken_for_ours(
        self, home: Path, stranger: subprocess.Popen[bytes]
    ) -> None:
        known = identify(stranger.pid, (sys.executable, "-c", "another program"))
        assert known is not None
        fleet = self.claim(home, known)

        self.assert_left_alone(fleet, stranger)

    def assert_left_alone(self, fleet: Fleet, stranger: subprocess.Popen[bytes]) -> None:
        assert (seen(fleet, "worker-1").pid, seen(fleet, "worker-1").state) == (None, "failed")
        fleet.start("scheduler")
        assert pid_of(fleet, "worker-1") != stranger.pid
        fleet.settled(fleet.stop("all"))
        assert stranger.poll() is None

    def test_the_very_process_is_found(self, stranger: subprocess.Popen[bytes]) -> None:
        known = identify(stranger.pid, tuple(stranger.args))  # type: ignore[arg-type]
        assert known is not None
        assert find(known) is not None

    def test_a_dead_process_that_nobody_collected_is_over(self, stranger: subprocess.Popen[bytes]) -> None:
        known = identify(stranger.pid, tuple(stranger.args))  # type: ignore[arg-type]
        assert known is not None

        os.kill(stranger.pid, signal.SIGKILL)

        until(lambda: psutil.Process(stranger.pid).status() == psutil.STATUS_ZOMBIE, "it to be over")
        assert find(known) is None


class TestInATerminal:
    def test_it_takes_over_from_the_background_without_a_restart(self, home: Path) -> None:
        fleet = fleet_of(home)
        fleet.start("worker")
        pid = pid_of(fleet, "worker-1")

        with supervising(home, LENIENT):
            until(lambda: fleet.supervisor_pid() == os.getpid(), "the change")
            look = seen_as(fleet, "worker-1", "running")
            assert (look.pid, look.restarts) == (pid, 0)
        assert seen(fleet, "worker-1").state == "stopped"

    def test_everything_has_stopped_when_it_ends(self, home: Path) -> None:
        fleet = fleet_of(home, FINISHES)
        with supervising(home, LENIENT):
            fleet.start("worker", 2)
            until(lambda: "ready" in fleet.log("worker-2").tail(1), "it to be ready")
            pid = pid_of(fleet, "worker-2")
        assert {look.state for look in fleet.look()} == {"stopped"}
        assert not psutil.pid_exists(pid)
        assert fleet.supervisor_pid() is None

    def test_a_second_one_is_refused_with_the_firsts_process_id(self, home: Path) -> None:
        fleet = fleet_of(home)
        with supervising(home, LENIENT):
            fleet.start("worker")
            pid_of(fleet, "worker-1")
            with (
                pytest.raises(EngineError, match=f"already runs here, in process {os.getpid()}"),
                supervising(home),
            ):
                pass
            assert seen(fleet, "worker-1").state == "running"
