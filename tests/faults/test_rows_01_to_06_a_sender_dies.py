"""Rows 1 to 6: a sender dies before begin, after it, in the middle of the POST, after the answer, after settling."""

from __future__ import annotations

import signal

import pytest

from tests.commands import until
from tests.faults.deployment import Deployment, deployment
from tests.standins.faults import Fault
from tests.standins.postgrest import PostgrestStandIn

KILLED = -signal.SIGKILL
LEASE_SECONDS = 61
"""After so long everything that a dead process held in the database is free."""
WORKER_LEASE_SECONDS = 91
"""After so long Redis takes what a dead worker ran to be abandoned."""


@pytest.mark.parametrize(
    "point",
    [
        "after open_batch_v1",  # a draft is left behind
        "before begin_batch_v1",  # row 1: its bytes are stored, nothing has left
        "after begin_batch_v1",  # row 2: the key may have been used, but was not
        "after post",  # row 5: sent, and nobody here knows
        "after settle_batch_v1",  # row 6: all is on record, and the sender never learned of it
    ],
)
def test_a_sender_killed_on_the_way_is_made_up_for_with_one_mail_each(
    fallback: Deployment, point: str
) -> None:
    fallback.world.deliveries(3)
    with fallback.run("delivery", fault=f"kill {point}") as sender:
        assert sender.wait(60) == KILLED

    fallback.pass_time(seconds=LEASE_SECONDS)
    with fallback.run("delivery"):
        fallback.settle()

    fallback.assert_one_mail_each(3)
    assert fallback.world.value("select count(*) from mail_bodies") == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault.SLOW_REQUEST,  # row 3: the provider takes it in after the sender is gone
        Fault.SLOW_REPLY,  # row 4: the provider has taken it in, and the sender dies waiting for the answer
    ],
)
def test_a_sender_killed_in_the_middle_of_its_post_is_made_up_for_with_one_mail_each(
    fallback: Deployment, fault: Fault
) -> None:
    fallback.world.deliveries(3)
    fallback.provider.faults.add(fault, match="POST", seconds=1.5)
    with fallback.run("delivery") as sender:
        until(fallback.provider.faults.struck, "the request to arrive")
        sender.kill()
        sender.wait()

    fallback.pass_time(seconds=LEASE_SECONDS)
    with fallback.run("delivery"):
        fallback.settle()

    fallback.assert_one_mail_each(3)


def test_settling_again_after_its_reply_was_lost_changes_nothing(
    fallback: Deployment, database_url: str
) -> None:
    with (
        PostgrestStandIn(database_url) as api,
        deployment(
            fallback.home / "supabase",
            database_url,
            DATABASE_URL="",
            SUPABASE_URL=api.url,
            SUPABASE_SERVICE_KEY=api.service_key,
        ) as there,
    ):
        there.world.deliveries(3)
        api.faults.add(Fault.LOST_REPLY, match="settle_batch_v1")
        with there.run("delivery"):
            there.settle()
        assert api.faults.struck() == {Fault.LOST_REPLY: 1}
        assert "an inline job failed" not in there.log, (
            "the sender was to ask again and be told that it is done"
        )
        there.assert_one_mail_each(3)
        assert there.provider.answers == {"200": len(there.world.column("select id from mail_batches"))}


def test_a_worker_killed_on_the_way_is_made_up_for_by_another(queued: Deployment) -> None:
    queued.world.deliveries(3)
    with queued.run("delivery"), queued.run("worker", fault="kill after post") as worker:
        assert worker.wait(60) == KILLED

    queued.pass_time(seconds=WORKER_LEASE_SECONDS)
    with queued.run("delivery"), queued.run("worker"):
        queued.settle()

    queued.assert_one_mail_each(3)
