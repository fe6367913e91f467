"""How many database calls things cost: each is a round trip, and over HTTPS a request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixionmail.jobs.claims import ClaimKeeper
from fixionmail.jobs.dispatch import FallbackDispatcher, InlineDispatcher
from fixionmail.loops.delivery import Delivery
from fixionmail.mail.outbox import Outbox
from fixionmail.mail.render import Sender
from fixionmail.mail.send import Post, Round
from fixionmail.store import Store
from fixionmail.store.transport import Transport
from tests.commands import until
from tests.contract.store.world import FAST, World

SENDER = Sender(address="FixionMail <stories@example.com>", base_url="https://example.com")


class CountingTransport:
    """Notes the function of each call."""

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self.calls: list[str] = []
        self._transport = transport

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.calls.append(function)
        return self._transport.call(function, arguments)

    def close(self) -> None:
        """It is the other's."""


@pytest.fixture
def counted(direct_store: Store) -> CountingTransport:
    return CountingTransport(direct_store.transport)


def send_due(counted: CountingTransport, outbox: Path) -> Round:
    post = Post(
        line=Store.over(counted).mail_line("resend", FAST),
        mailer=Outbox(outbox, now=lambda: datetime.now(UTC)),
        sender=SENDER,
        holder="hand",
    )
    return post.send_due(seconds=20)


def test_one_mail_costs_five_calls(world: World, counted: CountingTransport, tmp_path: Path) -> None:
    world.deliveries(1)
    assert send_due(counted, tmp_path).accepted == 1
    assert counted.calls == [
        "open_batch_v1", "seal_batch_v1", "begin_batch_v1", "settle_batch_v1",
        "open_batch_v1",  # nothing more is due
    ]  # fmt: skip


def test_a_hundred_mails_in_one_request_cost_no_more(
    world: World, counted: CountingTransport, tmp_path: Path
) -> None:
    world.deliveries(100)
    world.slow_backlog()
    world.change("update send_lines set next_slot_at = '-infinity'")
    result = send_due(counted, tmp_path)
    assert (result.requests, result.accepted) == (1, 100)
    assert len(counted.calls) == 5


def test_a_tick_of_the_delivery_loop_is_one_call(world: World, counted: CountingTransport) -> None:
    world.deliveries(3)
    dispatcher = FallbackDispatcher(InlineDispatcher({}, threads=1))
    delivery = Delivery(line=Store.over(counted).mail_line("resend", FAST), dispatcher=dispatcher)
    report = delivery.tick(world.lead("delivery"), datetime.now(UTC))
    dispatcher.close()
    assert counted.calls == ["delivery_tick_v1"]
    assert report.counts == {"due": 3}


def test_all_claims_of_a_process_are_extended_with_one_call(world: World, counted: CountingTransport) -> None:
    jobs = world.jobs(5)
    keeper = ClaimKeeper(Store.over(counted), extend_every_seconds=0.2)
    claims = [keeper.claim(job, holder=f"hand {job}", charge=0) for job in jobs]
    assert all(claims)
    world.change("update story_jobs set token = token + 1 where id = %s", jobs[0])
    counted.calls.clear()
    until(lambda: claims[0] is not None and claims[0].lost, "the claim that has passed on to be lost")
    assert set(counted.calls) == {"extend_story_jobs_v1"}
    assert [claim.lost for claim in claims if claim] == [True, False, False, False, False]
    assert (
        world.value("select count(*) from story_jobs where lease_expires_at > now() + interval '55 s'") >= 4
    )
    keeper.close()
