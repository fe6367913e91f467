"""One delivery in words: its timeline from the plan to the provider's word, and why nobody is certain."""

from __future__ import annotations

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.mail import Outcome, ProviderEvent
from fixionmail.ops import delivery_detail
from fixionmail.ops.deliveries import UnknownDeliveryError
from fixionmail.ops.views.deliveries import DeliveryDetail
from tests.contract.store.world import World, now


def shown(world: World, delivery: UUID) -> DeliveryDetail:
    return delivery_detail.ask(world.store, delivery)


def test_a_delivery_that_arrived_tells_all_its_steps_in_order(world: World) -> None:
    _, (member,) = world.sent()
    reported = ProviderEvent(
        message_id="e1",
        kind="email.delivered",
        provider_id=f"id-{member}",
        delivery_id=member,
        happened_at=now(),
        detail="",
        suppresses=False,
    )
    world.store.incoming.record_event(reported)

    seen = shown(world, member)

    beginnings = [event.what.split(",")[0].split(":")[0] for event in seen.timeline]
    assert beginnings[:2] == ["planned", "writing begun"]
    assert [what.split()[0] for what in beginnings[2:6]] == ["written", "taken", "sealed", "sent"]
    assert f"accepted as id-{member}" in seen.timeline[6].what
    assert seen.timeline[7].what == f"the provider reported email.delivered of id-{member}"
    assert (seen.state, seen.evidence, seen.advice) == ("delivered", (), "")


def test_one_of_which_nobody_is_certain_tells_the_evidence(world: World) -> None:
    batch, token, (member,) = world.sending(1)
    world.settle(batch, token, Outcome.KEY_CONFLICT, status=409, error="another body")

    seen = shown(world, member)

    (line,) = seen.evidence
    for words in ("key fm/", "first used", "known to the provider until", "409 another body", "uncertain"):
        assert words in line
    assert seen.advice.startswith("Ask the provider")


def test_one_that_does_not_exist_is_a_sentence(world: World) -> None:
    unknown = uuid7()
    with pytest.raises(UnknownDeliveryError, match=str(unknown)):
        shown(world, unknown)
