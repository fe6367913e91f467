"""Drill 24: a process that an update has not reached runs beside a new one."""

from __future__ import annotations

from pathlib import Path

import pytest

import fixionmail
from fixionmail.ops.views.findings import Harm
from tests import commands
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.drills.test_doctor_and_watch import environment

OLDER = {"PYTHONPATH": str(Path(__file__).with_name("older")), "VERSION_OF_FIXIONMAIL": "0.0.9"}


@pytest.mark.slow
def test_both_are_named_with_their_versions_until_the_older_one_has_been_restarted(
    deployment: Deployment, tmp_path: Path
) -> None:
    settings = environment(deployment)
    with commands.running(tmp_path / "new", "run", "delivery", **settings):
        with commands.running(tmp_path / "old", "run", "scheduler", **settings, **OLDER) as old:
            until(lambda: "version-skew" in deployment.findings(), "the older one")
            finding = deployment.findings()["version-skew"]
            assert (finding.drill, finding.harm, finding.count) == (24, Harm.RISK, 1)
            older, newer = finding.evidence
            assert older.startswith(f"0.0.9: scheduler {old.pid} on ")
            assert newer.startswith(f"{fixionmail.__version__}: delivery ")
        with commands.running(tmp_path / "old", "run", "scheduler", **settings):
            until(lambda: "no-scheduler" not in deployment.findings(), "its restart")
            assert "version-skew" not in deployment.findings()
