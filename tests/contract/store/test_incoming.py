"""What the provider tells of a mail, and what readers ask for by the link in it."""

from __future__ import annotations

from datetime import date
from itertools import permutations
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.mail import Outcome, ProviderEvent
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import HOUR, TODAY, World, now, planned

FOLDED = {
    ("email.sent", "email.delivered"): "delivered",
    ("email.delivered", "email.failed"): "delivered",
    ("email.delivered", "email.bounced"): "bounced",
    ("email.bounced", "email.complained"): "complained",
    ("email.sent", "email.failed"): "failed",
    ("email.delivery_delayed", "email.opened"): "delivered",
}


def event(
    kind: str,
    delivery: UUID | None,
    *,
    provider_id: str | None = None,
    message_id: str | None = None,
    suppresses: bool = False,
) -> ProviderEvent:
    return ProviderEvent(
        message_id=message_id or f"msg_{uuid7()}",
        kind=kind,
        provider_id=provider_id or f"id-{delivery}",
        delivery_id=delivery,
        happened_at=now(),
        detail="550 no such user",
        suppresses=suppresses,
    )


def owner(world: World, delivery: UUID) -> UUID:
    user: UUID = world.row("scheduled_deliveries", delivery)["user_id"]
    return user


class TestAnEvent:
    @pytest.mark.parametrize(("kinds", "state"), FOLDED.items(), ids=lambda value: str(value))
    def test_has_the_same_end_in_any_order_and_told_twice(
        self, direct_world: World, kinds: tuple[str, ...], state: str
    ) -> None:
        _, members = direct_world.sent(2)
        for delivery, order in zip(members, permutations(kinds), strict=True):
            for kind in (*order, *order):
                direct_world.store.incoming.record_event(event(kind, delivery))
            assert direct_world.state("scheduled_deliveries", delivery) == state

    def test_under_an_id_that_was_seen_before_changes_nothing(self, world: World) -> None:
        _, (delivery,) = world.sent()
        first = event("email.sent", delivery, message_id="msg_1")
        assert world.store.incoming.record_event(first) == "ok"
        again = event("email.bounced", delivery, message_id="msg_1")
        assert world.store.incoming.record_event(again) == "already"
        assert world.state("scheduled_deliveries", delivery) == "sent"

    def test_about_no_mail_of_ours_is_kept_and_changes_nothing(self, world: World) -> None:
        assert world.store.incoming.record_event(event("email.bounced", uuid7())) == "unknown"
        assert world.column("select delivery_id from provider_events") == [None]

    def test_that_we_do_not_know_changes_nothing(self, direct_world: World) -> None:
        _, (delivery,) = direct_world.sent()
        assert direct_world.store.incoming.record_event(event("email.teleported", delivery)) == "ok"
        assert direct_world.state("scheduled_deliveries", delivery) == "sent"

    def test_of_a_bounce_keeps_the_providers_words(self, direct_world: World) -> None:
        _, (delivery,) = direct_world.sent()
        direct_world.store.incoming.record_event(event("email.bounced", delivery))
        assert direct_world.row("scheduled_deliveries", delivery)["reason"] == "550 no such user"

    def test_is_forgotten_after_ninety_days(self, direct_world: World) -> None:
        direct_world.store.incoming.record_event(event("email.sent", uuid7(), message_id="old"))
        direct_world.change("update provider_events set received_at = now() - interval '91 days'")
        direct_world.store.incoming.record_event(event("email.sent", uuid7(), message_id="new"))
        assert direct_world.column("select id from provider_events") == ["new"]


class TestAnEventBeforeWeHaveTheAnswer:
    def test_settles_nothing_but_stays_when_the_answer_comes(self, world: World) -> None:
        batch, token, (delivery,) = world.sending()
        world.store.incoming.record_event(event("email.delivered", delivery))
        answer = world.settle(batch, token, Outcome.ACCEPTED, ids=(f"id-{delivery}",))
        assert answer in (Verdict.OK, Verdict.ALREADY)
        row = world.row("scheduled_deliveries", delivery)
        assert (row["state"], row["provider_id"]) == ("delivered", f"id-{delivery}")
        assert world.audit("sent twice") == []

    def test_resolves_a_delivery_that_nobody_was_certain_of(self, direct_world: World) -> None:
        batch, token, (delivery,) = direct_world.sending()
        direct_world.settle(batch, token, Outcome.KEY_CONFLICT, error="another body")
        direct_world.store.incoming.record_event(event("email.sent", delivery))
        assert direct_world.state("scheduled_deliveries", delivery) == "sent"
        assert direct_world.column("select outcome from mail_batch_items") == ["accepted"]
        assert [row["target"] for row in direct_world.audit("delivery resolved")] == [str(delivery)]

    def test_keeps_a_delivery_from_going_out_that_a_restored_database_thinks_is_pending(
        self, direct_world: World
    ) -> None:
        (delivery,) = direct_world.deliveries()
        direct_world.store.incoming.record_event(event("email.delivered", delivery))
        assert direct_world.state("scheduled_deliveries", delivery) == "delivered"
        assert direct_world.open().verdict is Verdict.EMPTY

    def test_takes_it_out_of_a_batch_that_was_never_begun(self, direct_world: World) -> None:
        batch, (delivery, other) = direct_world.sealed(2)
        direct_world.store.incoming.record_event(event("email.delivered", delivery))
        assert direct_world.begin(batch).verdict is Verdict.DRAFT
        assert [letter.delivery_id for letter in direct_world.open().letters] == [other]


class TestAnEventOfAnEarlierAttempt:
    @pytest.fixture
    def retried(self, direct_world: World) -> UUID:
        _, (delivery,) = direct_world.sent()
        direct_world.store.incoming.record_event(event("email.failed", delivery))
        direct_world.store.deliveries.retry(
            delivery, seen_state="failed", by="ann", host="desk", reason="again"
        )
        assert direct_world.state("scheduled_deliveries", delivery) == "pending"
        return delivery

    @pytest.mark.parametrize("kind", ["email.failed", "email.sent"])
    def test_does_not_end_the_new_one(self, direct_world: World, retried: UUID, kind: str) -> None:
        direct_world.store.incoming.record_event(event(kind, retried))
        assert direct_world.state("scheduled_deliveries", retried) == "pending"

    def test_ends_the_new_one_when_the_mail_arrived_after_all(
        self, direct_world: World, retried: UUID
    ) -> None:
        direct_world.store.incoming.record_event(event("email.delivered", retried))
        assert direct_world.state("scheduled_deliveries", retried) == "delivered"


class TestASecondMail:
    def test_for_one_delivery_is_an_incident(self, direct_world: World) -> None:
        _, (delivery,) = direct_world.sent()
        direct_world.store.incoming.record_event(event("email.delivered", delivery, provider_id="other"))
        assert [row["result"]["provider_id"] for row in direct_world.audit("sent twice")] == ["other"]
        assert direct_world.row("scheduled_deliveries", delivery)["provider_id"] == f"id-{delivery}"


class TestAnEventThatSuppresses:
    def test_stops_the_subscribers_mail(self, world: World) -> None:
        _, (delivery,) = world.sent()
        world.store.incoming.record_event(event("email.complained", delivery, suppresses=True))
        user = world.row("users", owner(world, delivery))
        assert user["status"] == "suppressed"
        assert "550 no such user" in user["status_reason"]

    def test_withdraws_what_waits_for_that_subscriber(self, direct_world: World) -> None:
        _, (delivery,) = direct_world.sent()
        (waiting,) = direct_world.deliveries()
        direct_world.change(
            "update scheduled_deliveries set user_id = %s, local_date = local_date + 1 where id = %s",
            owner(direct_world, delivery),
            waiting,
        )
        direct_world.store.incoming.record_event(event("email.bounced", delivery, suppresses=True))
        assert direct_world.state("scheduled_deliveries", waiting) == "suppressed"

    def test_spares_a_subscriber_who_has_another_address_by_now(self, direct_world: World) -> None:
        _, (delivery,) = direct_world.sent()
        user = owner(direct_world, delivery)
        direct_world.change("update users set email = 'new@example.com' where id = %s", user)
        direct_world.store.incoming.record_event(event("email.bounced", delivery, suppresses=True))
        assert direct_world.row("users", user)["status"] == "active"

    def test_leaves_who_has_unsubscribed_unsubscribed(self, direct_world: World) -> None:
        _, (delivery,) = direct_world.sent()
        direct_world.withdraw(delivery, "unsubscribed")
        direct_world.store.incoming.record_event(event("email.complained", delivery, suppresses=True))
        assert direct_world.row("users", owner(direct_world, delivery))["status"] == "unsubscribed"


class TestUnsubscribing:
    def test_stops_the_mail_before_the_next_draft(self, world: World) -> None:
        (delivery,) = world.deliveries()
        token = f"token-{owner(world, delivery)}"
        assert world.store.incoming.subscriber_status(token) == "active"
        assert world.store.incoming.unsubscribe(token) == "ok"
        assert world.store.incoming.subscriber_status(token) == "unsubscribed"
        assert world.open().verdict is Verdict.EMPTY
        assert world.state("scheduled_deliveries", delivery) == "cancelled"

    def test_stops_what_is_sealed_and_not_begun(self, direct_world: World) -> None:
        batch, (delivery,) = direct_world.sealed()
        direct_world.store.incoming.unsubscribe(f"token-{owner(direct_world, delivery)}")
        assert direct_world.begin(batch).verdict is Verdict.DONE
        assert direct_world.state("scheduled_deliveries", delivery) == "cancelled"

    def test_twice_is_once(self, world: World) -> None:
        (user,) = world.subscribe(due_at=now() + HOUR)
        world.store.incoming.unsubscribe(f"token-{user}")
        assert world.store.incoming.unsubscribe(f"token-{user}") == "already"
        assert [row["actor"] for row in world.audit("subscriber unsubscribed")] == ["subscriber"]

    @pytest.mark.parametrize(
        "token", ["", "unknown", "token-", "'; drop table users; --", "\x00", "é" * 5000]
    )
    def test_with_a_token_that_nobody_has_changes_nothing(self, world: World, token: str) -> None:
        world.subscribe()
        assert world.store.incoming.unsubscribe(token) == "unknown"
        assert world.store.incoming.subscriber_status(token) is None
        assert world.column("select status from users") == ["active"]


class TestAMailThatARestoredDatabaseForgot:
    def reconcile(
        self, world: World, *, delivery: UUID, address: str, day: date = TODAY, provider_id: str = "re_1"
    ) -> str:
        return world.store.incoming.reconcile_mail(
            provider_id=provider_id,
            delivery_id=delivery,
            event="email.sent",
            address=address,
            local_date=day,
            sent_at=now(),
            by="ann",
            host="desk",
        )

    def test_takes_the_date_of_a_reader_of_whom_nothing_is_planned(self, world: World) -> None:
        (user,) = world.subscribe()
        address = f"{user}@example.com"
        assert self.reconcile(world, delivery=uuid7(), address=address.upper()) == "ok"
        plan = [planned(user, seen=world.due_subscribers()[0].next_due_at)]
        assert world.store.jobs.plan(fence=world.lead("scheduler"), sweep_seconds=60, plan=plan).job_ids == ()
        assert world.column("select state from story_jobs") == ["cancelled"]
        assert [row["actor"] for row in world.audit("mail reconciled")] == ["ann"]

    def test_keeps_its_story_from_being_written_again(self, direct_world: World) -> None:
        job = direct_world.job()
        address = direct_world.row("users", direct_world.row("story_jobs", job)["user_id"])["email"]
        assert self.reconcile(direct_world, delivery=uuid7(), address=address) == "ok"
        assert direct_world.claim(job).verdict is Verdict.CANCELLED

    def test_refuses_what_a_worker_is_writing_just_now(self, direct_world: World) -> None:
        job = direct_world.job()
        token = direct_world.claimed(job)
        address = direct_world.row("users", direct_world.row("story_jobs", job)["user_id"])["email"]
        self.reconcile(direct_world, delivery=uuid7(), address=address)
        assert direct_world.complete(job, token)[0] is Verdict.STALE

    def test_stands_for_another_story_of_its_date(self, direct_world: World) -> None:
        (delivery,) = direct_world.deliveries()
        address = direct_world.row("users", owner(direct_world, delivery))["email"]
        assert self.reconcile(direct_world, delivery=uuid7(), address=address) == "ok"
        row = direct_world.row("scheduled_deliveries", delivery)
        assert (row["state"], row["provider_id"]) == ("sent", "re_1")
        assert direct_world.open().verdict is Verdict.EMPTY

    def test_is_known_once_it_was_taken_in(self, direct_world: World) -> None:
        (user,) = direct_world.subscribe()
        delivery = uuid7()
        address = f"{user}@example.com"
        answers = [self.reconcile(direct_world, delivery=delivery, address=address) for _ in range(2)]
        assert answers == ["ok", "already"]

    def test_to_a_stranger_changes_nothing(self, direct_world: World) -> None:
        assert self.reconcile(direct_world, delivery=uuid7(), address="nobody@example.com") == "unknown"
        assert direct_world.column("select id from story_jobs") == []
