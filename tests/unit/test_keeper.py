"""The life of one supervised process over time, with a process and a clock of the test's own."""

from __future__ import annotations

import statistics

import pytest

from fixionmail.processes.identity import Identity
from fixionmail.processes.keeper import Keeper
from fixionmail.processes.ledger import Record, Wanted
from fixionmail.processes.pace import Pace
from fixionmail.processes.spec import ProcessSpec

PACE = Pace(jitter=0)
SPEC = ProcessSpec(name="worker-1", kind="worker", argv=("worker",))
WANTED = Wanted(spec=SPEC)


class Process:
    """A process that lives until the test says otherwise."""

    def __init__(self) -> None:
        self.how: str | None = None
        self.asked: list[str] = []

    def identity(self) -> Identity | None:
        return Identity(pid=1, born=0, argv=()) if self.how is None else None

    def end(self) -> str | None:
        return self.how

    def ask_to_stop(self) -> None:
        self.asked.append("stop")

    def leave(self) -> None:
        self.asked.append("leave")

    def kill(self) -> None:
        self.asked.append("kill")


class Life:
    """A keeper, what it has started, and the time."""

    def __init__(self) -> None:
        self.started: list[Process] = []
        self.now = 1000.0
        record = Record(name="worker-1", kind="worker", state="stopped", since=0, launch=0)
        self.keeper = Keeper(record, PACE, self._start)

    def _start(self, spec: ProcessSpec) -> Process:
        self.started.append(Process())
        return self.started[-1]

    def pass_by(self, seconds: float, want: Wanted | None = WANTED) -> str:
        """Let time pass, look, and give the state."""
        self.now += seconds
        self.keeper.step(want, self.now)
        return self.keeper.record.state

    def die(self, after: float) -> str:
        """Let the process die after so many seconds."""
        self.started[-1].how = "exit code 1"
        return self.pass_by(after)


@pytest.fixture
def life() -> Life:
    life = Life()
    life.pass_by(0)
    return life


def test_a_process_is_starting_until_it_has_lived_a_little(life: Life) -> None:
    assert life.pass_by(PACE.settled - 0.1) == "starting"
    assert life.pass_by(0.1) == "running"


def test_pauses_double_up_to_the_longest(life: Life) -> None:
    pauses = []
    for _ in range(9):
        life.die(after=2)
        pause, before = 0.0, len(life.started)
        while len(life.started) == before:
            life.pass_by(0.5)
            pause += 0.5
        pauses.append(pause)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_five_early_ends_in_a_row_are_a_crash_loop(life: Life) -> None:
    states = []
    for _ in range(5):
        states.append(life.die(after=2))
        life.pass_by(60)
    assert states == ["backing off"] * 4 + ["crash-looping"]


def test_it_is_called_crash_looping_until_it_has_proved_stable(life: Life) -> None:
    for _ in range(5):
        life.die(after=2)
        life.pass_by(60)
    assert life.pass_by(PACE.stable - 1) == "crash-looping"
    assert life.pass_by(1) == "running"


def test_after_a_stable_life_the_first_pause_is_short_again(life: Life) -> None:
    for _ in range(4):
        life.die(after=2)
        life.pass_by(60)
    life.pass_by(PACE.stable)

    assert life.die(after=1) == "backing off"
    before = len(life.started)
    life.pass_by(PACE.first_pause)
    assert len(life.started) == before + 1


def test_it_is_asked_once_and_killed_after_the_limit(life: Life) -> None:
    stopped = Wanted(spec=SPEC, run=False)
    assert life.pass_by(5, stopped) == "stopping"
    life.pass_by(PACE.stop_limit - 1, stopped)
    assert life.started[0].asked == ["stop"]
    life.pass_by(1, stopped)
    assert life.started[0].asked == ["stop", "kill"]
    life.started[0].how = "killed by SIGKILL"
    assert life.pass_by(0, stopped) == "stopped"
    assert life.keeper.record.last_end == "did not stop within 30 s and was killed"


def test_a_new_launch_stops_the_old_process_before_the_next_begins(life: Life) -> None:
    again = WANTED.again()
    assert life.pass_by(5, again) == "stopping"
    assert len(life.started) == 1
    life.started[0].how = "exit code 0"
    assert life.pass_by(1, again) == "starting"
    assert (len(life.started), life.keeper.record.restarts) == (2, 0)


def test_pauses_vary_so_that_what_died_together_does_not_start_together() -> None:
    pauses = [Pace().pause(3) for _ in range(200)]
    assert 3.2 <= min(pauses) < max(pauses) <= 4.8
    assert 3.8 < statistics.mean(pauses) < 4.2
