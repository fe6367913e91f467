"""Drill 24: a process that an update has not reached runs beside a new one."""

from __future__ import annotations

from pathlib import Path

from fixionmail.ops.views.findings import Harm
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.faults.deployment import Deployment as Processes


def of(version: str) -> dict[str, str]:
    """The settings that make a process one of that version, as far as it says of itself."""
    return {"PYTHONPATH": str(Path(__file__).with_name("older")), "VERSION_OF_FIXIONMAIL": version}


def test_both_are_named_with_their_versions_until_the_older_one_has_been_restarted(
    operated: Deployment, processes: Processes
) -> None:
    with processes.run("delivery", **of("1.10.0")) as new:
        with processes.run("scheduler", **of("1.9.0")) as old:
            until(lambda: "version-skew" in operated.findings(), "the older one")
            finding = operated.findings()["version-skew"]
            assert (finding.drill, finding.harm, finding.count) == (24, Harm.RISK, 1)
            newer, older = finding.evidence
            assert newer.startswith(f"1.10.0: delivery {new.pid} on ")
            assert older.startswith(f"1.9.0: scheduler {old.pid} on ")
            assert finding.cures[0].command == "fixionmail processes restart <name>"
        with processes.run("scheduler", **of("1.10.0")):
            until(lambda: "no-scheduler" not in operated.findings(), "its restart")
            assert "version-skew" not in operated.findings()
