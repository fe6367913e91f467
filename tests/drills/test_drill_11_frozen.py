"""Drill 11: the process that leads a loop is frozen, with and without another one that stands by."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.commands import until
from tests.drills.conftest import Deployment
from tests.faults.deployment import Deployment as Processes
from tests.faults.deployment import deployment as processes_of
from tests.faults.deployment import state_of
from tests.standins.faults import Fault
from tests.standins.postgrest import PostgrestStandIn

LEASE_SECONDS = 31


def test_a_frozen_scheduler_is_named_when_its_lease_ends_and_made_up_for_by_another_one(
    operated: Deployment, processes: Processes
) -> None:
    with processes.run("scheduler") as leader:
        until(lambda: "no-scheduler" not in operated.findings(), "a leader")
        leader.send_signal(signal.SIGSTOP)
        until(lambda: state_of(leader) == "stopped", "the frost")
        processes.add_readers(3)
        assert not {"no-scheduler", "loop-stalled"} & operated.findings().keys(), "its lease holds"
        processes.pass_time(seconds=LEASE_SECONDS)
        finding = operated.findings()["no-scheduler"]
        assert (finding.drill, finding.count) == (11, 3)
        assert ("start-process", ("scheduler",)) in [(cure.action, cure.targets) for cure in finding.cures]
        with processes.run("scheduler"):
            until(lambda: operated.world.value("select count(*) from stories") == 3, "the stories")
            assert "no-scheduler" not in operated.findings()
            leader.send_signal(signal.SIGCONT)
            until(lambda: "loop-standby" in operated.findings(), "the first one as a standby")
    assert operated.world.value("select count(*) from story_jobs") == 3


@pytest.mark.slow
def test_while_another_one_stands_by_a_frozen_delivery_loop_is_made_up_for_by_itself(
    operated: Deployment, processes: Processes
) -> None:
    with processes.run("delivery") as leader:
        until(lambda: "no-delivery" not in operated.findings(), "a leader")
        with processes.run("delivery"):
            until(lambda: "loop-standby" in operated.findings(), "a standby")
            leader.send_signal(signal.SIGSTOP)
            until(lambda: state_of(leader) == "stopped", "the frost")
            operated.world.deliveries(2)
            processes.pass_time(seconds=LEASE_SECONDS)
            finding = operated.findings()["no-delivery"]
            assert finding.cures[0].automatic.endswith("takes over within half a minute")
            until(lambda: len(processes.mails()) == 2, "the mail")
            assert "no-delivery" not in operated.findings()
        leader.send_signal(signal.SIGCONT)
    processes.assert_one_mail_each(2)


@pytest.mark.slow
def test_a_scheduler_that_leads_and_hangs_in_its_tick_is_named_until_the_database_is_quick_again(
    deployment: Deployment, database_url: str, tmp_path: Path
) -> None:
    deployment.world.subscribe(5000)
    with (
        PostgrestStandIn(database_url) as api,
        processes_of(
            tmp_path / "processes",
            database_url,
            DATABASE_URL="",
            SUPABASE_URL=api.url,
            SUPABASE_SERVICE_KEY=api.service_key,
        ) as processes,
    ):
        for function in ("due_subscribers", "plan_stories"):  # just within what a call may take, page by page
            api.faults.add(Fault.SLOW_REPLY, match=function, times=None, seconds=8)
        with processes.run("scheduler") as leader:
            until(lambda: "loop-stalled" in deployment.findings(), "a minute", 100)
            finding = deployment.findings()["loop-stalled"]
            assert (finding.drill, finding.subjects) == (11, ("scheduler",))
            assert f"pid {leader.pid} on " in finding.evidence[0]
            assert finding.cures[0].action == "restart-process"
            api.faults.clear()
            until(lambda: not {"loop-stalled", "no-scheduler"} & deployment.findings().keys(), "its tick")
        assert deployment.world.value("select count(*) from story_jobs") == 5000
