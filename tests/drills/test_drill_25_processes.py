"""Drill 25: a process that dies again and again, and one that is killed for its memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixionmail.ops import machine
from fixionmail.ops.views.findings import Harm
from fixionmail.processes.fleet import Fleet
from fixionmail.processes.supervisor import supervising
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.integration.processes.programs import fleet_of, pid_of, seen, seen_as
from tests.standins.supervisor import HURRIED

NEEDS_A_KETTLE = """\
import pathlib, sys, time
if not pathlib.Path({kettle!r}).exists():
    print("the kettle is broken", flush=True)
    sys.exit(3)
time.sleep(600)
"""


@pytest.fixture
def kettle(tmp_path: Path) -> Path:
    """What the worker needs; it is not there."""
    return tmp_path / "kettle"


@pytest.fixture
def fleet(deployment: Deployment, kettle: Path) -> Iterator[Fleet]:
    """A worker that ends at once without its kettle, under a supervisor in a hurry."""
    home = deployment.settings.home
    with supervising(home, HURRIED):
        yield fleet_of(home, NEEDS_A_KETTLE.format(kettle=str(kettle)))


def test_a_process_that_crashes_at_every_start_is_named_with_its_last_words_and_restarted_when_mended(
    deployment: Deployment, fleet: Fleet, kettle: Path
) -> None:
    home = deployment.settings.home
    fleet.start("worker")
    seen_as(fleet, "worker-1", "crash-looping")
    finding = deployment.findings(machine.look(home))["process-crash-looping"]
    assert (finding.drill, finding.harm, finding.subjects) == (25, Harm.LATE, ("worker-1",))
    assert "3" in finding.evidence[0]
    assert finding.evidence[1].endswith(" restarts")
    assert "the kettle is broken" in finding.evidence[-1]
    kettle.touch()
    assert deployment.cure(finding, "restart-process") == {"asked": 1}
    pid_of(fleet, "worker-1")
    assert not {"process-crash-looping", "process-down"} & deployment.findings(machine.look(home)).keys()


def test_a_worker_that_is_killed_again_and_again_is_named_with_the_signal_and_lower_concurrency_advised(
    deployment: Deployment, fleet: Fleet, kettle: Path
) -> None:
    kettle.touch()
    fleet.start("worker")
    killed: set[int] = set()

    def loops() -> bool:
        look = seen(fleet, "worker-1")
        if look.state == "running" and look.pid and look.pid not in killed:
            killed.add(look.pid)
            os.kill(look.pid, signal.SIGKILL)
        return look.state == "crash-looping"

    until(loops, "the crash loop")
    finding = deployment.findings(machine.look(deployment.settings.home))["process-crash-looping"]
    assert "SIGKILL" in finding.evidence[0]
    assert "takes too much memory" in finding.cause
    assert "WORKER_CONCURRENCY=<less>" in [cure.command for cure in finding.cures]
