"""Rows 21 and 22: how processes are stopped and replaced, and what a deploy may get wrong."""

from __future__ import annotations

import signal

import pytest

from tests import commands
from tests.commands import until
from tests.faults.deployment import Deployment, deployment
from tests.standins.faults import Fault
from tests.standins.postgrest import PostgrestStandIn


def test_a_process_told_to_stop_finishes_its_request_and_leaves_nothing_unknown(queued: Deployment) -> None:
    queued.world.deliveries(3)
    queued.provider.faults.add(Fault.SLOW_REPLY, match="POST", seconds=1.5)
    with queued.run("delivery"), queued.run("worker") as worker:
        until(queued.provider.faults.struck, "the request to arrive")
        worker.terminate()
        assert worker.wait(30) == 0
    # The loop, which may have begun another request meanwhile, was told to stop as well.
    assert set(queued.batches()) <= {"accepted", "sealed"}, "nothing may be left without an answer"
    assert queued.batches()["accepted"] >= 1
    queued.pass_time(seconds=91)
    with queued.run("delivery"), queued.run("worker"):
        queued.settle()
    queued.assert_one_mail_each(3)


@pytest.mark.parametrize("kind", ["delivery", "worker"])
def test_a_process_killed_as_soon_as_it_was_told_to_stop_loses_nothing(
    fallback: Deployment, queued: Deployment, kind: str
) -> None:
    made = fallback if kind == "delivery" else queued
    made.world.deliveries(3)
    made.provider.faults.add(Fault.SLOW_REPLY, match="POST", seconds=1.5)
    with made.run("delivery") as loop:
        with made.run("worker") if kind == "worker" else made.run("scheduler") as other:
            until(made.provider.faults.struck, "the request to arrive")
            victim = loop if kind == "delivery" else other
            victim.terminate()
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        assert made.batches()["sending"] >= 1
    made.pass_time(seconds=91)
    with made.run("delivery"), made.run("worker") if kind == "worker" else made.run("scheduler"):
        made.settle()
    made.assert_one_mail_each(3)


def test_a_deployment_whose_database_lacks_a_migration_refuses_to_start_in_words(
    fallback: Deployment,
) -> None:
    fallback.world.change(
        "delete from fixionmail_migrations where version = (select max(version) from fixionmail_migrations)"
    )
    ended = commands.run(fallback.home, "run", "delivery", **fallback.settings)
    assert ended.code == 1
    assert "fixionmail db migrate" in ended.err
    assert "Traceback" not in ended.err


def test_a_function_missing_while_it_runs_is_said_in_words_and_mail_goes_on_when_it_is_back(
    fallback: Deployment,
) -> None:
    fallback.world.deliveries(3)
    fallback.world.change("alter function settle_batch_v1 rename to settle_batch_v1_gone")
    with fallback.run("delivery"):
        until(lambda: "fixionmail db migrate" in fallback.log, "the process to say what is missing")
        fallback.world.change("alter function settle_batch_v1_gone rename to settle_batch_v1")
        fallback.pass_time(seconds=61)
        fallback.settle()
    fallback.assert_one_mail_each(3)


def test_a_database_key_rotated_while_it_runs_is_taken_up_without_a_restart(
    fallback: Deployment, database_url: str
) -> None:
    with PostgrestStandIn(database_url) as api:
        home = fallback.home / "supabase"
        with deployment(home, database_url, DATABASE_URL="", SUPABASE_URL=api.url) as there:
            (home / ".env").write_text(f"SUPABASE_SERVICE_KEY={api.service_key}\n")
            with there.run("delivery"):
                until(lambda: "leading" in there.log, "the loop to lead")
                api.rotate_keys()
                (home / ".env").write_text(f"SUPABASE_SERVICE_KEY={api.service_key}\n")
                there.world.deliveries(3)
                there.settle()
            there.assert_one_mail_each(3)


def test_a_mail_key_rotated_by_a_deploy_costs_no_mail(fallback: Deployment) -> None:
    fallback.world.deliveries(3)
    fallback.provider.api_key = "re_rotated"
    with fallback.run("delivery"):
        until(lambda: "the line waits until" in fallback.log, "the line to stand still")
    fallback.pass_time(seconds=61)
    with fallback.run("delivery", RESEND_API_KEY="re_rotated"):
        fallback.settle()
    fallback.assert_one_mail_each(3)
