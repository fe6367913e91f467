"""Drill 15: second mails, from two databases of which one was put back while the other was still in use."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from fixionmail.ops.views.findings import Harm
from tests.commands import until
from tests.contract.store.world import planned
from tests.drills.conftest import Deployment, operated_with
from tests.drills.databases import load, restored, subscribe
from tests.faults.deployment import Deployment as Processes
from tests.postgres import PostgresServer

READERS = 6
TABLES = ("story_jobs", "stories", "scheduled_deliveries")


def the_day_goes_by(processes: Processes) -> None:
    """Stories are written, and mailed in batches, whose keys are those of one database only."""
    with processes.run("scheduler"):
        written = "select count(*) from scheduled_deliveries"
        until(lambda: processes.world.value(written) == READERS, "the stories")
    processes.world.slow_backlog()
    with processes.run("delivery"):
        until(lambda: processes.states().keys() <= {"sent", "uncertain"}, "the mail")


@pytest.mark.slow
def test_who_was_mailed_from_both_is_named_once_they_are_merged_and_the_first_of_each_is_kept(
    deployment: Deployment, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    subscribe(deployment, READERS)
    with restored(deployment, postgres_server, tmp_path) as (lost, here):
        the_day_goes_by(lost)
        the_day_goes_by(here)
        twice = {address for (address, _), mails in lost.mails().items() if mails == 2}
        assert twice

        operated = operated_with(deployment, lost)
        assert "one_daily_" in load(here.database_url, lost.database_url, *TABLES)
        assert not {"duplicate-date", "constraint-missing"} & operated.findings().keys()

        operated.world.change("drop index one_daily_job, one_daily_delivery")
        assert load(here.database_url, lost.database_url, *TABLES) == ""
        found = operated.findings()
        assert (found["duplicate-date"].drill, found["duplicate-date"].harm) == (15, Harm.TWICE)
        mailed = operated.world.column(
            "select id::text from users where email = any(%s) order by 1", list(twice)
        )
        assert sorted(found["duplicate-date"].subjects) == mailed
        assert found["constraint-missing"].subjects == ("one_daily_delivery", "one_daily_job")

        kept = lost.world.column("select provider_id from scheduled_deliveries where sent_at is not null")
        assert operated.cure(found["duplicate-date"], "repair-duplicates") == {"ok": READERS + 2}
        assert not {"duplicate-date", "constraint-missing"} & operated.findings().keys()
        assert len(operated.world.audit("delivery set aside")) == READERS
        left = lost.world.column("select provider_id from scheduled_deliveries")
        assert len(left) == READERS
        assert set(left) <= set(kept)


@pytest.mark.slow
def test_who_was_only_planned_in_the_other_one_is_not_written_to_again_and_the_protection_can_be_put_back(
    deployment: Deployment, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    subscribe(deployment, READERS)
    with restored(deployment, postgres_server, tmp_path) as (lost, here):
        the_day_goes_by(lost)
        left = here.world.due_subscribers()
        plan = [planned(one.user_id, seen=one.next_due_at, local_date=one.next_local_date) for one in left]
        here.world.store.jobs.plan(fence=here.world.lead("scheduler"), sweep_seconds=60, plan=plan)

        operated = operated_with(deployment, lost)
        operated.world.change("drop index one_daily_job")
        assert load(here.database_url, lost.database_url, *TABLES) == ""
        finding = operated.findings()["constraint-missing"]
        assert (finding.drill, finding.subjects) == (15, ("one_daily_job",))
        before = operated.world.column("select id from scheduled_deliveries order by id")

        assert operated.cure(finding, "repair-duplicates") == {"ok": READERS + 1}
        assert not {"duplicate-date", "constraint-missing"} & operated.findings().keys()
        assert operated.world.column("select id from scheduled_deliveries order by id") == before
        assert operated.world.column("select count(*) from stories") == [READERS]
        kept = operated.world.column("select id from story_jobs where kind = 'daily' and state = 'completed'")
        assert len(kept) == READERS
        closed = operated.world.column(
            "select id from story_jobs where kind = 'extra' and state = 'cancelled'"
        )
        assert sorted(closed) == sorted(job.job_id for job in plan)
        assert len(operated.world.audit("job set aside")) == READERS


@pytest.mark.slow
def test_without_the_protections_our_own_loops_mail_nobody_twice_all_the_same(
    operated: Deployment, processes: Processes
) -> None:
    """They are the last of several lines: leases, fences and locks keep second mails away as well."""
    for index in ("one_daily_job", "one_live_batch", "mail_batches_key"):
        operated.world.change(f"drop index {index}")
    operated.world.change("alter table scheduled_deliveries drop constraint unique_story_delivery")
    operated.world.change("alter table stories drop constraint stories_job_id_key")
    processes.add_readers(10)
    with ExitStack() as stack:
        for kind in ("scheduler", "delivery") * 2:
            stack.enter_context(processes.run(kind))
        until(lambda: len(processes.mails()) == 10, "all mail")
        processes.settle()
    processes.assert_one_mail_each(10)
    finding = operated.findings()["constraint-missing"]
    assert (finding.harm, finding.count) == (Harm.RISK, 5)
    assert operated.cure(finding, "repair-duplicates") == {"ok": 5}
    assert "constraint-missing" not in operated.findings()


@pytest.mark.slow
def test_without_the_one_that_they_rest_on_no_story_is_handed_in_until_it_is_put_back(
    operated: Deployment, processes: Processes
) -> None:
    operated.world.change("drop index one_daily_delivery")
    processes.add_readers(1)
    with processes.run("scheduler"), processes.run("delivery"):
        ended = "select id from story_jobs where state = 'pending' and error is not null"
        until(lambda: operated.world.column(ended), "the end of an attempt")
        finding = operated.findings()["constraint-missing"]
        assert finding.harm is Harm.LATE
        assert "no story can be handed in" in finding.cause
        assert operated.cure(finding, "repair-duplicates") == {"ok": 1}
        processes.pass_time(hours=0.5)
        until(lambda: len(processes.mails()) == 1, "the mail")
    processes.assert_one_mail_each(1)
    assert "constraint-missing" not in operated.findings()
