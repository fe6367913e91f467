"""Drills 22 and 26: what comes with the database of the earlier FixionMail, and with merging two deployments."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from fixionmail.ops.views.findings import Harm
from tests import commands
from tests.drills.conftest import Deployment, settings_of
from tests.drills.databases import load
from tests.drills.test_doctor_and_watch import environment
from tests.faults.deployment import Deployment as Processes
from tests.faults.deployment import deployment as processes_of
from tests.postgres import PostgresServer
from tests.upgrade.history import Earlier


@pytest.fixture
def taken_over(deployment: Deployment, empty_database: str, tmp_path: Path) -> Deployment:
    """A database of the earlier FixionMail, which took any zone and any time, after ``fixionmail db migrate``."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        earlier = Earlier(connection)
        earlier.build()
        earlier.reader(1, timezone="Europe/Berln")
        earlier.reader(2, timezone="Mars/Phobos")
        earlier.reader(3, time="noonish")
    later = replace(deployment, settings=settings_of(deployment.redis_url, empty_database, tmp_path))
    assert commands.run(tmp_path, "db", "migrate", **environment(later)).code == 0
    return later


def test_22_readers_in_zones_that_nobody_knows_are_named_until_they_have_been_changed(
    taken_over: Deployment,
) -> None:
    for value in ("Europe/Berlin", "Asia/Tokyo"):
        finding = taken_over.findings()["zone-unknown"]
        assert (finding.drill, finding.harm) == (22, Harm.RISK)
        words = finding.cures[0].command
        assert ("Europe/Berlin" in words) == ("Europe/Berln" in finding.evidence[0])
        correct(taken_over, words, value)
    assert "zone-unknown" not in taken_over.findings()


def test_22_a_reader_at_a_time_that_is_none_is_named_until_it_has_been_changed(
    taken_over: Deployment,
) -> None:
    finding = taken_over.findings()["time-unreadable"]
    assert (finding.drill, finding.evidence) == (22, ("reader3@example.com: noonish",))
    correct(taken_over, finding.cures[0].command, "07:00")
    assert "time-unreadable" not in taken_over.findings()


def correct(deployment: Deployment, words: str, value: str) -> None:
    """Run the command that a finding names; where it leaves the value open, with this one."""
    _, *arguments = words.replace("<value>", value).split()
    assert commands.run(deployment.settings.home, *arguments, **environment(deployment)).code == 0


@pytest.fixture
def other(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Processes]:
    """Another deployment, with a database of its own."""
    with (
        postgres_server.migrated_database() as url,
        processes_of(tmp_path / "other", url) as processes,
    ):
        yield processes


def test_26_who_signed_up_with_both_is_named_once_they_are_merged_and_one_of_the_two_is_kept(
    operated: Deployment, processes: Processes, other: Processes
) -> None:
    ada = ("ada@example.com", "--timezone", "UTC", "--delivery-time", "08:00")
    for each in (processes, other):
        assert commands.run(each.home, "subscribers", "add", *ada, **each.settings).code == 0
    tables = ("users", "subscriber_schedule")
    assert "users_email_key" in load(other.database_url, processes.database_url, *tables)
    assert "subscriber-twice" not in operated.findings()

    operated.world.change("drop index users_email_key")
    assert load(other.database_url, processes.database_url, *tables) == ""
    finding = operated.findings()["subscriber-twice"]
    assert (finding.drill, finding.harm, finding.subjects) == (26, Harm.TWICE, ("ada@example.com",))
    ids = operated.world.column("select id::text from users order by id")
    assert finding.evidence == (f"ada@example.com: 2 subscribers: {', '.join(ids)}",)
    assert operated.cure(finding, "repair-users") == {"ok": 1}
    constraint = operated.findings()["constraint-missing"]
    assert operated.cure(constraint, "repair-duplicates") == {"ok": 1}
    assert not {"subscriber-twice", "constraint-missing"} & operated.findings().keys()
    assert operated.world.column("select status from users order by status") == ["active", "removed"]
    assert operated.world.value("select count(*) from subscriber_schedule where active") == 1


def test_26_a_job_that_was_merged_without_its_subscriber_is_named_and_cancelled(
    operated: Deployment, processes: Processes, other: Processes
) -> None:
    other.add_readers(1)
    with other.run("scheduler", fault="kill after plan_stories_v1") as planner:
        assert planner.wait(60) == -signal.SIGKILL
    (job,) = other.world.column("select id from story_jobs")
    assert load(other.database_url, processes.database_url, "story_jobs") == ""
    finding = operated.findings()["job-orphaned"]
    assert (finding.drill, finding.harm, finding.subjects) == (26, Harm.COST, (str(job),))
    assert operated.cure(finding, "repair-users") == {"ok": 1}
    assert operated.world.state("story_jobs", job) == "cancelled"
    assert "job-orphaned" not in operated.findings()
