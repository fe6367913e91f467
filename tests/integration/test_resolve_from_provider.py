"""What became of an uncertain delivery, read back from the stand-in for Resend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from fixionmail.errors import MailError, UnreachableError
from fixionmail.mail.render import Sender
from fixionmail.mail.resend import Resend, SentMail, SentPage
from fixionmail.mail.send import Post
from fixionmail.models.deliveries import DeliveryRecord
from fixionmail.models.verdict import Verdict
from fixionmail.ops.deliveries import REQUEST_SECONDS, Lookup, look_up
from tests.contract.store.world import World, now
from tests.standins.faults import Fault
from tests.standins.resend import ResendStandIn

SENDER = Sender(address="FixionMail <stories@example.com>", base_url="https://example.com")


@pytest.fixture
def resend() -> Iterator[ResendStandIn]:
    with ResendStandIn() as running:
        yield running


@pytest.fixture
def client(resend: ResendStandIn) -> Iterator[Resend]:
    with Resend(api_key=resend.api_key, url=resend.url) as running:
        yield running


def send(world: World, client: Resend) -> None:
    """One hand sends what is due."""
    Post(line=world.line, mailer=client, sender=SENDER, holder="hand").send_due(seconds=20)


def uncertain(
    world: World, resend: ResendStandIn, client: Resend, fault: Fault, count: int = 1
) -> list[UUID]:
    """Deliveries whose request met a fault, and whose window is over."""
    members = world.deliveries(count)
    resend.faults.add(fault, match="POST", times=None)
    send(world, client)
    resend.faults.clear()
    world.change("update mail_batches set due_at = due_at - interval '1 day' where settled_at is null")
    world.tick()
    assert {world.state("scheduled_deliveries", member) for member in members} == {"uncertain"}
    return members


def records(world: World, members: list[UUID]) -> list[DeliveryRecord]:
    return [record for member in members if (record := world.store.deliveries.show(member))]


@dataclass
class Watched:
    """Asks as it is told, and knows what was asked and how long it waited. ``tags``: whether they are shown."""

    client: Resend
    tags_in_lists: bool = True
    tags_in_mails: bool = True
    page: int = 100
    found: list[str] = field(default_factory=list)
    pages: int = 0
    waits: list[float] = field(default_factory=list)

    def find(self, email_id: str) -> SentMail | None:
        self.found.append(email_id)
        mail = self.client.find(email_id)
        return mail and (mail if self.tags_in_mails else replace(mail, tags={}))

    def list_mails(self, *, after: str | None = None) -> SentPage:
        self.pages += 1
        page = self.client.list_mails(after=after, limit=self.page)
        if self.tags_in_lists:
            return page
        return replace(page, mails=tuple(replace(mail, tags={}) for mail in page.mails))

    def look_up(self, world: World, members: list[UUID], **bounds: Any) -> Lookup:
        return look_up(self, records(world, members), sleep=self.waits.append, **bounds)


class TestWhatWasSent:
    def test_is_found_by_the_deliverys_tag_among_others(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        (member,) = uncertain(world, resend, client, Fault.LOST_REPLY)
        mail = resend.ledger.mails()[0]
        world.deliveries(3)
        send(world, client)
        lookup = Watched(client).look_up(world, [member])
        evidence = lookup.found[member]
        assert (evidence.provider_id, evidence.matched_by, evidence.also) == (
            mail.id,
            "the delivery's tag",
            (),
        )
        assert abs(evidence.sent_at.timestamp() - mail.at) < 1
        assert evidence.last_event == "delivered"
        assert (lookup.searched, lookup.complete) == (4, True)

    def test_resolves_the_delivery_with_its_evidence(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        (member,) = uncertain(world, resend, client, Fault.BAD_STATUS_AFTER)
        evidence = Watched(client).look_up(world, [member]).found[member]
        change = world.store.deliveries.resolve_sent(
            member,
            seen_state="uncertain",
            provider_id=evidence.provider_id,
            sent_at=evidence.sent_at,
            evidence=evidence.to_json(),
            by="ada",
            host="desk",
            reason="asked Resend",
        )
        assert change.verdict is Verdict.OK
        row = world.row("scheduled_deliveries", member)
        assert (row["state"], row["provider_id"]) == ("sent", resend.ledger.mails()[0].id)
        assert world.audit("delivery resolved")[0]["result"]["evidence"] == evidence.to_json()
        assert resend.ledger.duplicates() == {}

    def test_is_asked_for_by_its_id_when_that_is_known(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        (member,) = uncertain(world, resend, client, Fault.LOST_REPLY)
        mail = resend.ledger.mails()[0]
        world.change("update scheduled_deliveries set provider_id = %s", mail.id)
        watched = Watched(client)
        lookup = watched.look_up(world, [member])
        assert lookup.found[member].matched_by == "its provider id"
        assert (watched.found, watched.pages) == ([mail.id], 0)

    def test_by_an_id_that_is_another_deliverys_is_not_believed(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        first, second = uncertain(world, resend, client, Fault.LOST_REPLY, 2)
        mails = {mail.tags["delivery"]: mail for mail in resend.ledger.mails()}
        world.change(
            "update scheduled_deliveries set provider_id = %s where id = %s", mails[str(second)].id, first
        )
        evidence = Watched(client).look_up(world, [first]).found[first]
        assert (evidence.provider_id, evidence.matched_by) == (mails[str(first)].id, "the delivery's tag")

    def test_is_found_for_many_in_one_walk(self, world: World, resend: ResendStandIn, client: Resend) -> None:
        members = uncertain(world, resend, client, Fault.LOST_REPLY, 12)
        watched = Watched(client, page=5)
        lookup = watched.look_up(world, members)
        mails = {mail.tags["delivery"]: mail.id for mail in resend.ledger.mails()}
        assert {str(m): e.provider_id for m, e in lookup.found.items()} == mails
        assert watched.pages == 3
        assert watched.waits == [REQUEST_SECONDS] * 2

    def test_twice_is_told(self, world: World, resend: ResendStandIn, client: Resend) -> None:
        (member,) = uncertain(world, resend, client, Fault.LOST_REPLY)
        first = resend.ledger.mails()[0]
        second = replace(first, id="second", at=first.at + 60)
        resend.ledger.record([second])
        evidence = Watched(client).look_up(world, [member]).found[member]
        assert (evidence.provider_id, evidence.also) == (first.id, ("second",))


class TestWithoutTagsInTheList:
    def test_a_mail_that_resembles_is_looked_at_whole(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        first, _ = uncertain(world, resend, client, Fault.LOST_REPLY, 2)
        mail = next(mail for mail in resend.ledger.mails() if mail.tags["delivery"] == str(first))
        watched = Watched(client, tags_in_lists=False)
        evidence = watched.look_up(world, [first]).found[first]
        assert (evidence.provider_id, evidence.matched_by) == (mail.id, "the delivery's tag")
        assert watched.found == [mail.id]

    def test_address_subject_and_time_must_do_when_it_has_none_either(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        first, _ = uncertain(world, resend, client, Fault.LOST_REPLY, 2)
        watched = Watched(client, tags_in_lists=False, tags_in_mails=False)
        assert watched.look_up(world, [first]).found[first].matched_by == "address, subject and time"

    @pytest.mark.parametrize(
        "other", [{"to": ["other@example.com"]}, {"subject": "Another story"}, {"at": 30 * 3600.0}],
        ids=["address", "subject", "time"],
    )  # fmt: skip
    def test_one_that_differs_in_any_of_them_is_not_it(
        self, world: World, resend: ResendStandIn, client: Resend, other: dict[str, Any]
    ) -> None:
        (member,) = uncertain(world, resend, client, Fault.LOST_REPLY)
        mail = resend.ledger.mails()[0]
        changes = other | {"at": mail.at + other.get("at", 0.0)}
        resend.ledger.record([replace(mail, **changes)])  # under the same id: instead of it
        watched = Watched(client, tags_in_lists=False, tags_in_mails=False)
        assert watched.look_up(world, [member]).found == {}


class TestWhatWasNotSent:
    def test_is_not_found_and_stays_uncertain(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        (member,) = uncertain(world, resend, client, Fault.LOST_REQUEST)
        lookup = Watched(client).look_up(world, [member])
        assert (lookup.found, lookup.searched, lookup.complete) == ({}, 0, True)
        assert world.state("scheduled_deliveries", member) == "uncertain"


class TestTheSearch:
    def test_ends_at_the_moment_before_the_mail_can_have_gone_out(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        world.deliveries(8)
        send(world, client)
        for mail in resend.ledger.mails():
            mail.at -= 3600
        (member,) = uncertain(world, resend, client, Fault.LOST_REPLY)
        watched = Watched(client, page=2)
        lookup = watched.look_up(world, [member])
        assert (watched.pages, lookup.searched, lookup.complete) == (1, 1, True)

    def test_ends_at_its_page_limit_and_says_so(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        (member,) = uncertain(world, resend, client, Fault.LOST_REPLY)
        world.deliveries(6)
        send(world, client)
        lookup = Watched(client, page=2).look_up(world, [member], max_pages=2)
        assert (lookup.found, lookup.searched, lookup.complete) == ({}, 4, False)
        assert lookup.back_to is not None
        assert abs(lookup.back_to - now()) < timedelta(minutes=1)

    def test_is_refused_to_a_key_that_may_only_send(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        members = uncertain(world, resend, client, Fault.LOST_REPLY)
        with (
            Resend(api_key=resend.sending_key, url=resend.url) as restricted,
            pytest.raises(MailError, match="restricted_api_key"),
        ):
            look_up(restricted, records(world, members))

    def test_of_a_provider_that_is_down_says_so(
        self, world: World, resend: ResendStandIn, client: Resend
    ) -> None:
        members = uncertain(world, resend, client, Fault.LOST_REPLY)
        resend.faults.add(Fault.LOST_REQUEST, match="GET")
        with pytest.raises(UnreachableError):
            look_up(client, records(world, members))
