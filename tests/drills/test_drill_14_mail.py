"""Drill 14: a sender is killed in the middle of its request, or hears nothing until nobody can tell any more."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from fixionmail.ops.views.findings import Cure, Finding, Harm
from tests.commands import until
from tests.drills.conftest import Deployment, operated_with
from tests.drills.databases import restored, subscribe
from tests.faults.deployment import Deployment as Processes
from tests.postgres import PostgresServer
from tests.standins.faults import Fault


def killed_in_its_request(processes: Processes, fault: Fault) -> UUID:
    """The mail that a delivery loop was sending when it was killed; ``fault``: what its provider does then."""
    (mail,) = processes.world.deliveries(1)
    processes.provider.faults.add(fault, match="POST", seconds=1)
    with processes.run("delivery") as sender:
        until(processes.provider.faults.struck, "the request")
        sender.kill()
        sender.wait()
    if fault is not Fault.LOST_REQUEST:
        until(processes.mails, "the provider to have taken it in")
    return mail


def found(deployment: Deployment, kind: str) -> Finding:
    finding: Finding = until(lambda: deployment.findings().get(kind), kind)
    return finding


@pytest.mark.slow
def test_a_mail_whose_sender_was_killed_is_named_with_its_batch_until_the_next_one_has_an_answer(
    operated: Deployment, processes: Processes
) -> None:
    mail = killed_in_its_request(processes, Fault.SLOW_REPLY)
    assert "delivery-stuck" not in operated.findings(), "its lease holds"
    processes.pass_time(seconds=61)
    (batch,) = processes.world.column("select id from mail_batches")
    stuck = operated.findings()["delivery-stuck"]
    assert (stuck.drill, stuck.subjects) == (14, (str(mail),))
    assert f"batch {batch} is sending after 1 attempts" in stuck.evidence[0]
    assert stuck.cures[0].automatic

    processes.provider.faults.add(Fault.BAD_STATUS_AFTER, match="POST", times=None)
    with processes.run("delivery"):
        until(lambda: "is ambiguous" in found(operated, "delivery-stuck").evidence[0], "another failure")
        processes.provider.faults.clear()
        processes.settle()
    assert "delivery-stuck" not in operated.findings()
    processes.assert_one_mail_each(1)


def unheard_of_for_a_day(processes: Processes, fault: Fault) -> UUID:
    """The mail whose sender was killed, when the others came back only after the provider had forgotten its key."""
    mail = killed_in_its_request(processes, fault)
    processes.pass_time(hours=25)
    return mail


def test_a_mail_unheard_of_for_a_day_is_not_sent_again_but_found_at_the_provider_and_recorded(
    operated: Deployment, processes: Processes
) -> None:
    mail = unheard_of_for_a_day(processes, Fault.SLOW_REPLY)
    with processes.run("delivery"):
        uncertain = found(operated, "delivery-uncertain")
    assert (uncertain.drill, uncertain.harm, uncertain.subjects) == (14, Harm.LOST, (str(mail),))
    assert operated.cure(uncertain, "resolve-delivery") == {"ok": 1}
    assert "delivery-uncertain" not in operated.findings()
    processes.assert_one_mail_each(1)


def test_one_that_the_provider_does_not_know_is_left_to_the_operator_who_records_it_as_not_sent(
    operated: Deployment, processes: Processes
) -> None:
    mail = unheard_of_for_a_day(processes, Fault.LOST_REQUEST)
    with processes.run("delivery"):
        uncertain = found(operated, "delivery-uncertain")
    (said,) = operated.cure(uncertain, "resolve-delivery")
    assert "most likely it was not sent" in said
    assert operated.run(Cure(label="", action="resolve-not-sent", targets=(str(mail),))) == {"ok": 1}
    assert "delivery-uncertain" not in operated.findings()
    assert operated.world.state("scheduled_deliveries", mail) == "missed"
    assert processes.mails() == {}


def test_a_written_story_that_was_missed_is_sent_after_all_by_the_cure_of_its_finding(
    operated: Deployment, processes: Processes
) -> None:
    processes.world.deliveries(1)
    processes.world.change(
        "update scheduled_deliveries set local_date = (now() at time zone 'UTC')::date, send_until = now()"
    )
    with processes.run("delivery"):
        missed = found(operated, "delivery-missed")
    assert missed.harm == Harm.LOST
    assert operated.cure(missed, "retry-delivery") == {"ok": 1}
    with processes.run("delivery"):
        processes.settle()
    assert "delivery-missed" not in operated.findings()
    processes.assert_one_mail_each(1)


def test_a_mail_that_had_gone_out_before_a_backup_was_put_back_is_not_sent_again_but_recorded(
    deployment: Deployment, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    subscribe(deployment)
    with restored(deployment, postgres_server, tmp_path) as (lost, here):
        for processes in (lost, here):
            with processes.run("scheduler"), processes.run("delivery"):
                until(lambda now=processes: now.states() in ({"sent": 1}, {"uncertain": 1}), "the mail")
        operated = operated_with(deployment, here)
        uncertain = operated.findings()["delivery-uncertain"]
        assert "another body" in uncertain.evidence[0]
        assert "restored backup" in uncertain.cause
        assert operated.cure(uncertain, "resolve-delivery") == {"ok": 1}
        assert "delivery-uncertain" not in operated.findings()
        assert here.states() == {"sent": 1}
        assert set(lost.mails().values()) == {1}
