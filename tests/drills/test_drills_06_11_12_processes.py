"""Drills 6, 11 and 12 with the processes of this machine: what is missing is started, and one too many stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from fixionmail.ops import machine
from fixionmail.ops.views.findings import Finding
from fixionmail.processes.supervisor import supervising
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.drills.test_doctor_and_watch import environment
from tests.drills.test_drills_05_to_13_work import rung
from tests.standins.supervisor import HURRIED

pytestmark = pytest.mark.slow


@pytest.fixture
def supervised(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """The deployment on a machine with a supervisor, whose processes have its settings from the environment."""
    home = deployment.settings.home
    for name, value in {**environment(deployment), "FIXIONMAIL_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    with supervising(home, HURRIED):
        yield deployment


def found(deployment: Deployment, kind: str) -> Finding:
    until(lambda: kind in seen(deployment), kind)
    return seen(deployment)[kind]


def seen(deployment: Deployment) -> dict[str, Finding]:
    return deployment.findings(machine.look(deployment.settings.home))


def test_6_and_11_what_nobody_does_is_done_once_its_process_is_started_by_the_cure(
    supervised: Deployment,
) -> None:
    (bell,) = rung(supervised)
    for kind in ("queue-unserved", "no-scheduler", "no-delivery"):
        assert supervised.cure(found(supervised, kind), "start-process") == {"asked": 1}
    until(
        lambda: not {"queue-unserved", "no-scheduler", "no-delivery"} & seen(supervised).keys(), "all three"
    )
    until(lambda: supervised.redis.hget(f"rq:job:{bell}", "status") == b"finished", "the story")
    assert supervised.world.value("select count(*) from stories") == 1


def test_12_the_copy_that_stands_by_is_stopped_by_the_cure_and_the_other_leads_on(
    supervised: Deployment,
) -> None:
    from fixionmail.processes.stack import fleet_of

    fleet_of(supervised.settings).scale("scheduler", 2)
    standby = found(supervised, "loop-standby")
    assert (standby.drill, [cure.action for cure in standby.cures]) == (12, ["stop-process"])
    assert supervised.cure(standby, "stop-process") == {"asked": 1}
    until(lambda: "loop-standby" not in seen(supervised), "the end of the copy")
    assert "no-scheduler" not in seen(supervised)


def test_11_a_scheduler_that_is_frozen_is_replaced_by_the_cure(supervised: Deployment) -> None:
    assert supervised.cure(found(supervised, "no-scheduler"), "start-process") == {"asked": 1}
    until(lambda: "no-scheduler" not in seen(supervised), "a scheduler")
    (frozen,) = supervised.world.column("select pid from heartbeats where kind = 'scheduler'")
    os.kill(frozen, signal.SIGSTOP)
    supervised.world.change("update leases set expires_at = expires_at - interval '31 seconds'")
    until(lambda: restart_of(found(supervised, "no-scheduler")), "what hangs to be known", 20)
    finding = found(supervised, "no-scheduler")
    assert restart_of(finding) == ("scheduler-1",)
    assert supervised.cure(finding, "restart-process") == {"asked": 1}
    until(lambda: "no-scheduler" not in seen(supervised), "another one")
    assert frozen not in psutil.pids()


def restart_of(finding: Finding) -> tuple[str, ...]:
    return next((cure.targets for cure in finding.cures if cure.action == "restart-process"), ())
