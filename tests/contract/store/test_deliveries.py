"""What an operator sees of deliveries, and may do with one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.deliveries import DeliveryChange, DeliveryRecord
from fixionmail.models.mail import Outcome, ProviderEvent
from fixionmail.models.verdict import Verdict
from tests.commands import until
from tests.contract.store.world import HOUR, TODAY, World, now

WHO = {"by": "ada", "host": "desk", "reason": "because"}
EVIDENCE = {"found": "by id", "last_event": "delivered"}
RETRIED = ("rejected", "failed", "missed", "cancelled")
NOT_RETRIED = ("sending", "sent", "delivered", "bounced", "complained", "suppressed")
GONE = DeliveryChange(verdict=Verdict.GONE, state="", reason="")


def be(world: World, delivery: UUID, state: str) -> None:
    """Put a delivery into a state, as if a provider's event or an outage had."""
    world.change("update scheduled_deliveries set state = %s, reason = 'old' where id = %s", state, delivery)


def state(world: World, delivery: UUID) -> str:
    return world.state("scheduled_deliveries", delivery)


def retry(world: World, delivery: UUID, seen: str) -> DeliveryChange:
    return world.store.deliveries.retry(delivery, seen_state=seen, **WHO)


def cancel(world: World, delivery: UUID, seen: str) -> DeliveryChange:
    return world.store.deliveries.cancel(delivery, seen_state=seen, **WHO)


def resolve_sent(world: World, delivery: UUID, provider_id: str = "re_1", **more: Any) -> DeliveryChange:
    arguments = {"seen_state": "uncertain", "sent_at": None, "evidence": EVIDENCE, **WHO, **more}
    return world.store.deliveries.resolve_sent(delivery, provider_id=provider_id, **arguments)


def resolve_not_sent(world: World, delivery: UUID, seen: str = "uncertain") -> DeliveryChange:
    return world.store.deliveries.resolve_not_sent(delivery, seen_state=seen, evidence=EVIDENCE, **WHO)


def ok(state: str) -> DeliveryChange:
    return DeliveryChange(verdict=Verdict.OK, state=state, reason="")


def already(state: str) -> DeliveryChange:
    return DeliveryChange(verdict=Verdict.ALREADY, state=state, reason="")


def changed(state: str) -> DeliveryChange:
    return DeliveryChange(verdict=Verdict.CHANGED, state=state, reason="")


def uncertain(world: World, count: int = 1) -> tuple[UUID, list[UUID]]:
    """Batch and members of a batch of which nobody knows whether it went out."""
    batch, token, members = world.sending(count)
    world.settle(batch, token, Outcome.KEY_CONFLICT, status=409, error="another body")
    return batch, members


def shown(world: World, delivery: UUID) -> DeliveryRecord:
    record = world.store.deliveries.show(delivery)
    assert record is not None
    return record


class TestList:
    def ids(self, world: World, **asked: Any) -> list[UUID]:
        page = world.store.deliveries.list(**{"limit": 100, **asked})
        return [delivery.delivery_id for delivery in page.deliveries]

    def test_is_newest_due_first_and_goes_on_behind_the_last_one(self, world: World) -> None:
        old = world.deliveries(2, due_at=now() - 2 * HOUR)
        new = world.deliveries(3)
        be(world, new[1], "missed")
        newest_first = sorted(new, reverse=True) + sorted(old, reverse=True)
        assert set(self.ids(world)) == set(newest_first)
        pages, after = [], None
        while page := world.store.deliveries.list(after=after, limit=2).deliveries:
            pages.append([delivery.delivery_id for delivery in page])
            after = page[-1]
        assert [len(page) for page in pages] == [2, 2, 1]
        walked = [delivery for page in pages for delivery in page]
        assert walked == self.ids(world)
        dues = [world.row("scheduled_deliveries", delivery)["due_at"] for delivery in walked]
        assert dues == sorted(dues, reverse=True)

    def test_of_deliveries_due_at_one_instant_repeats_and_omits_nobody(self, world: World) -> None:
        members = world.deliveries(5, due_at=now() - HOUR)
        world.change("update scheduled_deliveries set due_at = %s", now() - HOUR)
        first = world.store.deliveries.list(limit=3)
        assert [d.delivery_id for d in first.deliveries] == sorted(members, reverse=True)[:3]
        assert self.ids(world, after=first.deliveries[-1]) == sorted(members, reverse=True)[3:]

    def test_is_of_the_states_asked_for(self, world: World) -> None:
        pending, missed, rejected = world.deliveries(3)
        be(world, missed, "missed")
        be(world, rejected, "rejected")
        assert self.ids(world, states=["missed"]) == [missed]
        assert set(self.ids(world, states=["missed", "rejected"])) == {missed, rejected}
        assert set(self.ids(world)) == {pending, missed, rejected}
        assert self.ids(world, states=["bounced"]) == []

    def test_tells_what_a_delivery_is(self, world: World) -> None:
        _, (member,) = world.sent()
        (row,) = world.store.deliveries.list(limit=1).deliveries
        stored = world.row("scheduled_deliveries", member)
        assert (row.delivery_id, row.user_id, row.local_date) == (member, stored["user_id"], TODAY)
        assert (row.address, row.title, row.reason) == (stored["address"], "The Lamp", "")
        assert (row.state, row.provider_id, row.sent_at) == ("sent", f"id-{member}", stored["sent_at"])
        assert (row.due_at, row.send_until, row.generation) == (stored["due_at"], stored["send_until"], 1)

    def test_searches_address_title_and_ids_in_any_case(self, world: World) -> None:
        _, (member,) = world.sent()
        world.deliveries(2)
        address = world.row("scheduled_deliveries", member)["address"]
        for part in (address[:30].upper(), str(member)[9:].upper(), f"ID-{member}"[:20]):
            assert member in self.ids(world, search=part), part
        assert self.ids(world, search=f"id-{member}") == [member]
        assert len(self.ids(world, search="the lamp")) == 3
        assert self.ids(world, search="the lump") == []

    def test_takes_what_is_searched_literally(self, world: World) -> None:
        world.deliveries()
        assert (
            self.ids(world, search="%") == self.ids(world, search="_he") == self.ids(world, search=".*") == []
        )

    def test_finds_who_has_not_been_written_to_by_the_address_in_force(self, world: World) -> None:
        (member,) = world.deliveries()
        world.change("update users set email = 'new@example.com'")
        (row,) = world.store.deliveries.list(search="new@", limit=5).deliveries
        assert (row.delivery_id, row.address) == (member, "new@example.com")

    def test_says_when_it_did_not_search_everything(self, world: World) -> None:
        (old,) = world.deliveries(due_at=now() - 5 * HOUR)
        world.deliveries(3)
        page = world.store.deliveries.list(search=str(old), limit=10, scan=3)
        assert (page.deliveries, page.bounded) == ((), True)
        page = world.store.deliveries.list(search=str(old), limit=10, scan=5)
        assert ([d.delivery_id for d in page.deliveries], page.bounded) == ([old], False)
        assert not world.store.deliveries.list(limit=2).bounded

    def test_shows_what_was_missed_before_it_was_written(self, world: World) -> None:
        job = world.job()
        token = world.claimed(job)
        world.store.jobs.fail(job, token=token, error="no", retry_seconds=None)
        (row,) = world.store.deliveries.list(states=["missed"], limit=5).deliveries
        assert (row.title, row.reason) == ("", "the story could not be written: no")


class TestUpcoming:
    def test_is_soonest_due_first_and_goes_on_behind_the_last_one(self, world: World) -> None:
        late = world.deliveries(2, due_at=now() + 3 * HOUR)
        soon = world.deliveries(2, due_at=now() + HOUR)
        gone, sent = world.deliveries(2)
        be(world, gone, "missed")
        be(world, sent, "sending")
        pages, after = [], None
        while page := world.store.deliveries.upcoming(after=after, limit=3):
            pages.append([delivery.delivery_id for delivery in page])
            after = page[-1]
        assert [len(page) for page in pages] == [3, 1]
        walked = [delivery for page in pages for delivery in page]
        dues = [world.row("scheduled_deliveries", delivery)["due_at"] for delivery in walked]
        assert (set(walked[:2]), set(walked[2:])) == (set(soon), set(late))
        assert dues == sorted(dues)


class TestShow:
    def test_of_nothing_is_nothing(self, world: World) -> None:
        assert world.store.deliveries.show(uuid7()) is None

    def test_of_one_that_waits(self, world: World) -> None:
        (member,) = world.deliveries()
        record = shown(world, member)
        assert (record.delivery.delivery_id, record.delivery.state) == (member, "pending")
        assert (record.job_state, record.job_attempt, record.job_error) == ("completed", 1, "")
        assert record.job_id == world.row("scheduled_deliveries", member)["job_id"]
        assert (record.batches, record.audit) == ((), ())

    def test_tells_when_its_story_was_planned_begun_and_written(self, world: World) -> None:
        (member,) = world.deliveries()
        record = shown(world, member)
        job = world.row("story_jobs", record.job_id)
        assert (record.planned_at, record.begun_at) == (job["created_at"], job["started_at"])
        assert record.written_at == world.value("select created_at from stories")

    def test_tells_what_the_provider_reported_oldest_first(self, world: World) -> None:
        _, (member,) = world.sent()
        for event, kind, ago in (("e2", "email.delivered", 1), ("e1", "email.sent", 2)):
            reported = ProviderEvent(
                message_id=event,
                kind=kind,
                provider_id=f"id-{member}",
                delivery_id=member,
                happened_at=now() - ago * HOUR,
                detail="",
                suppresses=False,
            )
            world.store.incoming.record_event(reported)
        events = shown(world, member).events
        assert [(e.kind, e.provider_id) for e in events] == [
            ("email.sent", f"id-{member}"),
            ("email.delivered", f"id-{member}"),
        ]
        assert events[0].happened_at < events[1].happened_at

    def test_names_every_batch_it_was_in_oldest_first(self, world: World) -> None:
        batch, token, members = world.sending(2)
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        opened = world.open()
        assert opened.batch_id is not None
        (letter,) = opened.letters
        world.seal(opened.batch_id, opened.token)
        token = world.begin(opened.batch_id).token
        world.settle(opened.batch_id, token, Outcome.ACCEPTED, status=200, ids=("re_9",))
        first, second = shown(world, letter.delivery_id).batches
        assert (first.batch_id, first.state, first.outcome, first.live) == (
            batch,
            "rejected",
            "refused",
            False,
        )
        assert (first.count, first.attempts, first.last_status, first.last_error) == (
            2,
            1,
            422,
            "bad address",
        )
        assert first.key == f"fm/{batch}/1"
        assert (second.batch_id, second.state, second.outcome) == (opened.batch_id, "accepted", "accepted")
        assert (second.provider_id, second.last_status, second.last_error) == ("re_9", 200, "")
        assert first.first_used_at is not None
        assert second.first_used_at is not None
        assert first.first_used_at <= second.first_used_at <= now() + timedelta(seconds=5)
        assert len(members) == 2

    def test_tells_what_is_on_record_of_it_its_job_and_its_batches(self, world: World) -> None:
        batch, (member,) = uncertain(world)
        resolve_not_sent(world, member)
        record = shown(world, member)
        world.store.operations.record_audit(
            actor="ada", host="desk", action="job noted", target=str(record.job_id), reason="r", result={}
        )
        world.store.operations.record_audit(
            actor="ada", host="desk", action="other", target=str(uuid7()), reason="r", result={}
        )
        audit = shown(world, member).audit
        assert [row.action for row in audit] == ["key conflict", "delivery resolved", "job noted"]
        assert (audit[0].actor, audit[0].result) == ("settle", {"key": record.batches[0].key})
        assert (audit[1].actor, audit[1].host, audit[1].reason) == ("ada", "desk", "because")
        assert record.batches[0].batch_id == batch


class TestLook:
    def test_shows_those_of_the_asked_that_there_are(self, world: World) -> None:
        first, second, _ = world.deliveries(3)
        seen = world.store.deliveries.look([second, uuid7(), first])
        assert {delivery: each.delivery.state for delivery, each in seen.items()} == {
            first: "pending",
            second: "pending",
        }
        record = world.store.deliveries.show(first)
        assert record is not None
        assert seen[first].delivery == record.delivery
        assert world.store.deliveries.look([]) == {}

    def test_tells_whose_mail_may_be_out(self, world: World) -> None:
        (waiting,) = world.deliveries()
        world.change("update scheduled_deliveries set due_at = now() + interval '1 hour'")
        _, (sealed,) = world.sealed()
        _, _, (sending,) = world.sending()
        _, (sent,) = world.sent()
        _, (failed,) = world.sent()
        be(world, failed, "failed")
        batch, token, (refused,) = world.sending()
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        seen = world.store.deliveries.look([waiting, sealed, sending, sent, failed, refused])
        assert {delivery for delivery, each in seen.items() if each.maybe_out} == {sending, sent}


class TestRetry:
    def test_brings_back_what_was_missed_under_a_new_key(self, world: World) -> None:
        (member,) = world.deliveries()
        be(world, member, "missed")
        assert retry(world, member, "missed") == ok("pending")
        row = world.row("scheduled_deliveries", member)
        assert (row["state"], row["reason"], row["generation"]) == ("pending", None, 2)
        assert abs((row["due_at"] - now()).total_seconds()) < 5
        assert row["send_until"] - row["due_at"] == 6 * HOUR
        batch = world.open().batch_id
        assert batch is not None
        world.seal(batch, 1)
        assert world.row("mail_batches", batch)["key"] == f"fm/{row['user_id']}/{TODAY}/2"

    def test_is_on_record(self, world: World) -> None:
        (member,) = world.deliveries()
        be(world, member, "missed")
        retry(world, member, "missed")
        (entry,) = world.audit("delivery retried")
        assert (entry["actor"], entry["host"], entry["reason"]) == ("ada", "desk", "because")
        assert entry["target"] == str(member)
        assert entry["result"] == {
            "was": "missed",
            "state": "pending",
            "generation": 2,
            "old_reason": "old",
            "old_provider_id": None,
        }

    def test_may_be_repeated(self, world: World) -> None:
        (member,) = world.deliveries()
        be(world, member, "missed")
        retry(world, member, "missed")
        assert retry(world, member, "missed") == already("pending")
        assert world.row("scheduled_deliveries", member)["generation"] == 2
        assert len(world.audit()) == 1

    def test_by_two_at_once_happens_once(self, world: World) -> None:
        (member,) = world.deliveries()
        be(world, member, "missed")
        with ThreadPoolExecutor(4) as hands:
            answers = list(hands.map(lambda _: retry(world, member, "missed").verdict, range(4)))
        assert sorted(answers) == [Verdict.ALREADY] * 3 + [Verdict.OK]
        assert world.row("scheduled_deliveries", member)["generation"] == 2

    def test_of_what_the_provider_refused(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        assert retry(world, member, "rejected") == ok("pending")
        assert world.row("scheduled_deliveries", member)["address"] is None

    def test_of_what_the_provider_took_and_failed_to_deliver_is_no_second_acceptance(
        self, world: World
    ) -> None:
        _, (member,) = world.sent()
        be(world, member, "failed")
        assert retry(world, member, "failed") == ok("pending")
        row = world.row("scheduled_deliveries", member)
        assert (row["provider_id"], row["sent_at"]) == (None, None)
        assert world.audit("delivery retried")[0]["result"]["old_provider_id"] == f"id-{member}"
        batch = world.open().batch_id
        assert batch is not None
        world.seal(batch, 1)
        world.settle(batch, world.begin(batch).token, Outcome.ACCEPTED, ids=("second",))
        assert world.row("scheduled_deliveries", member)["provider_id"] == "second"
        assert world.audit("sent twice") == []
        assert world.store.deliveries.duplicates(since=TODAY) == ()

    @pytest.mark.parametrize("before", ["draft", "sealed"])
    def test_of_what_left_its_batch_before_that_was_begun(self, world: World, before: str) -> None:
        batch, token, (first, second) = world.draft(2)
        if before == "sealed":
            world.seal(batch, token)
        assert cancel(world, first, "sending") == ok("cancelled")
        world.seal(batch, world.open().token)
        assert world.begin(batch).verdict is Verdict.GO
        assert retry(world, first, "cancelled") == ok("pending")
        assert state(world, second) == "sending"

    @pytest.mark.parametrize("seen", RETRIED)
    def test_of_what_may_have_gone_out_is_refused(self, world: World, seen: str) -> None:
        batch, token, (member,) = world.sending()
        begun = world.row("mail_batches", batch)["first_used_at"]
        be(world, member, seen)
        answer = retry(world, member, seen)
        assert (answer.verdict, answer.state) == (Verdict.REFUSED, seen)
        assert (
            answer.reason
            == f"it may already have gone out: its key was first used at {begun:%Y-%m-%d %H:%M:%S} UTC"
        )
        assert world.row("scheduled_deliveries", member)["generation"] == 1
        assert world.audit() == []
        assert token

    @pytest.mark.parametrize("seen", ["rejected", "missed", "cancelled"])
    def test_of_what_was_accepted_is_refused(self, world: World, seen: str) -> None:
        _, (member,) = world.sent()
        be(world, member, seen)
        assert retry(world, member, seen).verdict is Verdict.REFUSED

    def test_of_what_failed_after_it_was_accepted_twice_is_refused(self, world: World) -> None:
        batch, (member,) = world.sent()
        other, _ = world.sent()
        world.change(
            "insert into mail_batch_items (batch_id, pos, delivery_id, live, outcome, provider_id)"
            " values (%s, 9, %s, false, 'accepted', 'other')",
            other,
            member,
        )
        be(world, member, "failed")
        assert retry(world, member, "failed").verdict is Verdict.REFUSED
        assert batch

    def test_of_what_is_uncertain_must_be_resolved_first(self, world: World) -> None:
        _, (member,) = uncertain(world)
        answer = retry(world, member, "uncertain")
        assert (answer.verdict, answer.reason) == (
            Verdict.REFUSED,
            "it may already have gone out: resolve it first",
        )
        assert resolve_not_sent(world, member) == ok("missed")
        assert retry(world, member, "missed") == ok("pending")

    @pytest.mark.parametrize("seen", NOT_RETRIED)
    def test_of_any_other_state_is_refused(self, world: World, seen: str) -> None:
        (member,) = world.deliveries()
        be(world, member, seen)
        assert retry(world, member, seen) == DeliveryChange(
            verdict=Verdict.REFUSED, state=seen, reason=f"it is {seen}"
        )
        assert state(world, member) == seen

    def test_of_what_was_never_written_is_refused(self, world: World) -> None:
        job = world.job()
        world.store.jobs.fail(job, token=world.claimed(job), error="no", retry_seconds=None)
        member = world.value("select id from scheduled_deliveries")
        answer = retry(world, member, "missed")
        assert (answer.verdict, answer.reason) == (
            Verdict.REFUSED,
            "its story was never written: retry its job instead",
        )

    @pytest.mark.parametrize("status", ["paused", "unsubscribed", "suppressed", "removed"])
    def test_to_who_gets_no_mail_is_refused(self, world: World, status: str) -> None:
        (member,) = world.deliveries()
        be(world, member, "missed")
        world.withdraw(member, status)
        assert retry(world, member, "missed").reason == f"the subscriber is {status}"

    def test_of_what_is_no_longer_as_it_was_seen_changes_nothing(self, world: World) -> None:
        (member,) = world.deliveries()
        be(world, member, "rejected")
        assert retry(world, member, "missed") == changed("rejected")
        assert (state(world, member), world.audit()) == ("rejected", [])

    def test_of_nothing_is_gone(self, world: World) -> None:
        assert retry(world, uuid7(), "missed") == GONE


class TestCancel:
    def test_keeps_back_what_waits(self, world: World) -> None:
        (member,) = world.deliveries()
        assert cancel(world, member, "pending") == ok("cancelled")
        assert world.row("scheduled_deliveries", member)["reason"] == "cancelled by ada: because"
        assert world.open().verdict is Verdict.EMPTY
        (entry,) = world.audit("delivery cancelled")
        assert entry["result"] == {"was": "pending", "state": "cancelled", "batch": None}

    def test_may_be_repeated(self, world: World) -> None:
        (member,) = world.deliveries()
        cancel(world, member, "pending")
        assert cancel(world, member, "pending") == already("cancelled")
        assert len(world.audit()) == 1

    def test_takes_it_out_of_a_draft_and_stops_the_hand_that_has_the_draft(self, world: World) -> None:
        batch, token, (first, second) = world.draft(2)
        assert cancel(world, first, "sending") == ok("cancelled")
        assert world.seal(batch, token) is Verdict.STALE
        again = world.open()
        assert (again.verdict, again.batch_id) == (Verdict.DRAFT, batch)
        assert [letter.delivery_id for letter in again.letters] == [second]
        assert world.audit("delivery cancelled")[0]["result"]["batch"] == str(batch)

    def test_takes_it_out_of_sealed_bytes(self, world: World) -> None:
        batch, (first, second) = world.sealed(2)
        assert cancel(world, second, "sending") == ok("cancelled")
        assert world.begin(batch).verdict is Verdict.DRAFT
        assert world.value("select count(*) from mail_bodies") == 0
        again = world.open()
        assert [letter.delivery_id for letter in again.letters] == [first]
        assert world.seal(batch, again.token) is Verdict.OK
        assert world.begin(batch).count == 1

    @pytest.mark.parametrize("sealed", [False, True])
    def test_of_the_last_member_dissolves_the_batch(self, world: World, sealed: bool) -> None:
        batch, token, (member,) = world.draft()
        if sealed:
            world.seal(batch, token)
        assert cancel(world, member, "sending") == ok("cancelled")
        row = world.row("mail_batches", batch)
        assert (row["state"], row["n"], row["settled_at"] is None) == ("dissolved", 0, False)
        assert world.begin(batch).verdict is Verdict.DONE
        assert world.open().verdict is Verdict.EMPTY

    @pytest.mark.parametrize("outcome", [None, Outcome.RATE_LIMITED, Outcome.AMBIGUOUS])
    def test_of_what_was_begun_is_refused_whatever_the_answer_was(
        self, world: World, outcome: Outcome | None
    ) -> None:
        batch, token, (member,) = world.sending()
        if outcome is not None:
            world.settle(batch, token, outcome)
        assert cancel(world, member, "sending") == DeliveryChange(
            verdict=Verdict.REFUSED,
            state="sending",
            reason="it is being sent: it may already have gone out",
        )
        assert (state(world, member), world.audit()) == ("sending", [])

    @pytest.mark.parametrize("seen", ["sent", "uncertain", "missed", "rejected", "failed", "delivered"])
    def test_of_any_other_state_is_refused(self, world: World, seen: str) -> None:
        (member,) = world.deliveries()
        be(world, member, seen)
        assert cancel(world, member, seen).reason == f"it is {seen}"

    def test_of_what_is_no_longer_as_it_was_seen_changes_nothing(self, world: World) -> None:
        _, _, (member,) = world.draft()
        assert cancel(world, member, "pending") == changed("sending")
        assert state(world, member) == "sending"

    def test_of_nothing_is_gone(self, world: World) -> None:
        assert cancel(world, uuid7(), "pending") == GONE

    def test_and_the_begin_of_its_batch_at_once_never_both_happen(self, world: World) -> None:
        for _ in range(10):
            batch, (member,) = world.sealed()
            with ThreadPoolExecutor(2) as hands:
                begun = hands.submit(world.begin, batch)
                cancelled = hands.submit(cancel, world, member, "sending")
            won = (begun.result().verdict is Verdict.GO, cancelled.result().verdict is Verdict.OK)
            assert won in [(True, False), (False, True)]


class TestResolve:
    def test_as_sent_takes_the_providers_id(self, world: World) -> None:
        batch, (member, other) = uncertain(world, 2)
        at = now() - timedelta(minutes=7)
        assert resolve_sent(world, member, sent_at=at) == ok("sent")
        row = world.row("scheduled_deliveries", member)
        assert (row["provider_id"], row["sent_at"], row["reason"]) == ("re_1", at, None)
        assert [(b.batch_id, b.outcome, b.provider_id) for b in shown(world, member).batches] == [
            (batch, "accepted", "re_1")
        ]
        assert state(world, other) == "uncertain"
        assert world.store.deliveries.duplicates(since=TODAY) == ()

    def test_as_sent_at_an_unknown_time_was_sent_when_its_key_was_first_used(self, world: World) -> None:
        batch, (member,) = uncertain(world)
        resolve_sent(world, member)
        sent_at = world.row("scheduled_deliveries", member)["sent_at"]
        assert sent_at == world.row("mail_batches", batch)["first_used_at"]

    def test_as_not_sent_allows_a_new_key_and_no_more(self, world: World) -> None:
        _, (member,) = uncertain(world)
        assert resolve_not_sent(world, member) == ok("missed")
        row = world.row("scheduled_deliveries", member)
        assert (row["reason"], row["generation"]) == ("not sent, says ada: because", 1)
        assert world.open().verdict is Verdict.EMPTY
        assert retry(world, member, "missed") == ok("pending")

    def test_is_on_record_with_its_evidence(self, world: World) -> None:
        _, (member,) = uncertain(world)
        resolve_sent(world, member)
        (entry,) = world.audit("delivery resolved")
        assert (entry["actor"], entry["host"], entry["reason"]) == ("ada", "desk", "because")
        assert entry["result"] == {
            "was": "uncertain",
            "state": "sent",
            "provider_id": "re_1",
            "evidence": EVIDENCE,
            "old_reason": "the provider has seen this key with another body: another body",
        }

    def test_may_be_repeated(self, world: World) -> None:
        _, (member, other) = uncertain(world, 2)
        resolve_sent(world, member)
        resolve_not_sent(world, other)
        assert resolve_sent(world, member) == already("sent")
        assert resolve_not_sent(world, other) == already("missed")
        assert len(world.audit("delivery resolved")) == 2

    def test_otherwise_than_somebody_else_has_just_done_changes_nothing(self, world: World) -> None:
        _, (member, other) = uncertain(world, 2)
        resolve_sent(world, member)
        resolve_not_sent(world, other)
        assert resolve_not_sent(world, member) == changed("sent")
        assert resolve_sent(world, member, "re_2") == changed("sent")
        assert resolve_sent(world, other) == changed("missed")

    @pytest.mark.parametrize("provider_id", ["", "id-of-another"])
    def test_as_sent_without_an_id_of_its_own_is_refused(self, world: World, provider_id: str) -> None:
        _, (another,) = world.sent()
        world.change("update scheduled_deliveries set provider_id = 'id-of-another' where id = %s", another)
        _, (member,) = uncertain(world)
        answer = resolve_sent(world, member, provider_id)
        reasons = {
            "": "a mail that was sent has a provider id",
            "id-of-another": f"provider id id-of-another is that of delivery {another}",
        }
        assert (answer.verdict, answer.reason) == (Verdict.REFUSED, reasons[provider_id])
        assert state(world, member) == "uncertain"

    @pytest.mark.parametrize("seen", ["pending", "sending", "rejected", "failed", "delivered"])
    def test_of_what_is_not_uncertain_is_refused(self, world: World, seen: str) -> None:
        (member,) = world.deliveries()
        be(world, member, seen)
        for answer in (
            resolve_sent(world, member, seen_state=seen),
            resolve_not_sent(world, member, seen),
        ):
            assert answer.verdict is Verdict.REFUSED
            assert answer.reason == f"it is {seen}: only what is uncertain can be resolved"
        assert (state(world, member), world.audit()) == (seen, [])

    def test_of_nothing_is_gone(self, world: World) -> None:
        assert resolve_sent(world, uuid7()) == GONE
        assert resolve_not_sent(world, uuid7()) == GONE


class TestLocks:
    """A change waits for whoever has the delivery or its batch, and takes the batch first, as sending does."""

    def meanwhile(
        self, world: World, cancel_it: Callable[[], DeliveryChange], *steps: LiteralString
    ) -> DeliveryChange:
        """The answer to a change made while another session has taken the first step and not yet the others."""
        with psycopg.connect(world.connection.info.dsn, password=world.connection.info.password) as other:
            other.execute("set lock_timeout = '300ms'")
            other.execute(steps[0])
            with ThreadPoolExecutor(1) as hand:
                change = hand.submit(cancel_it)
                until(lambda: self.waits_for(world, other.info.backend_pid), "the change to wait")
                for step in steps[1:]:
                    other.execute(step)
                other.commit()
                return change.result()

    def waits_for(self, world: World, pid: int) -> bool:
        return bool(
            world.value("select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))", pid)
        )

    def test_the_batch_is_taken_before_the_delivery(self, world: World) -> None:
        _, (member,) = world.sealed()
        answer = self.meanwhile(
            world,
            lambda: cancel(world, member, "sending"),
            "update mail_batches set first_used_at = now(), state = 'sending'",
            "update scheduled_deliveries set updated_at = now()",
        )
        assert answer.reason == "it is being sent: it may already have gone out"

    def test_what_has_become_of_the_delivery_in_the_meantime_counts(self, world: World) -> None:
        (member,) = world.deliveries()
        be(world, member, "missed")
        answer = self.meanwhile(
            world,
            lambda: retry(world, member, "missed"),
            "update scheduled_deliveries set state = 'cancelled'",
        )
        assert answer == changed("cancelled")
        assert state(world, member) == "cancelled"


CONSTRAINTS: list[tuple[str, LiteralString, LiteralString]] = [
    ("one_daily_job", "drop index one_daily_job",
     "create unique index one_daily_job on story_jobs (user_id, local_date) where kind = 'daily'"),
    ("one_daily_delivery", "drop index one_daily_delivery",
     "create unique index one_daily_delivery on scheduled_deliveries (user_id, local_date) where kind = 'daily'"),
    ("unique_story_delivery", "alter table scheduled_deliveries drop constraint unique_story_delivery",
     "alter table scheduled_deliveries add constraint unique_story_delivery unique (story_id)"),
    ("stories_job_id_key", "alter table stories drop constraint stories_job_id_key",
     "alter table stories add constraint stories_job_id_key unique (job_id)"),
    ("one_live_batch", "drop index one_live_batch",
     "create unique index one_live_batch on mail_batch_items (delivery_id) where live"),
    ("mail_batches_key", "drop index mail_batches_key",
     "create unique index mail_batches_key on mail_batches (key) where state <> 'dissolved'"),
    ("users_email_key", "drop index users_email_key",
     "create unique index users_email_key on users (lower(email))"),
]  # fmt: skip


class TestDuplicates:
    def found(self, world: World, **asked: Any) -> list[tuple[str, str, str]]:
        found = world.store.deliveries.duplicates(**{"since": TODAY, **asked})
        return [(finding.kind, finding.subject, finding.detail) for finding in found]

    def test_there_are_none_while_all_is_well(self, world: World) -> None:
        world.sent(3)
        uncertain(world, 2)
        world.deliveries(2)
        assert self.found(world) == []

    @pytest.mark.parametrize(("name", "away", "back"), CONSTRAINTS, ids=[c[0] for c in CONSTRAINTS])
    def test_a_missing_constraint_is_named(
        self, world: World, name: str, away: LiteralString, back: LiteralString
    ) -> None:
        world.change(away)
        try:
            assert self.found(world) == [("constraint", name, "missing")]
        finally:
            world.change(back)
        assert self.found(world) == []

    @pytest.mark.parametrize(
        ("column", "problem"), [("indisvalid", "invalid"), ("indisunique", "not unique")]
    )
    def test_a_constraint_that_is_not_in_force_is_named(
        self, world: World, column: LiteralString, problem: str
    ) -> None:
        statement: LiteralString = (
            "update pg_index set " + column + " = %s where indexrelid = 'one_live_batch'::regclass"
        )
        world.change(statement, False)
        try:
            assert self.found(world) == [("constraint", "one_live_batch", problem)]
        finally:
            world.change(statement, True)

    @pytest.mark.parametrize("scan", [False, True], ids=["at a look", "counting all"])
    def test_two_mails_for_one_subscriber_and_date_are_found(self, world: World, scan: bool) -> None:
        _, (first, second) = world.sent(2)
        owner = world.row("scheduled_deliveries", first)["user_id"]
        _, away, back = CONSTRAINTS[1]
        world.change(away)
        try:
            world.change("update scheduled_deliveries set user_id = %s where id = %s", owner, second)
            finding, _ = world.store.deliveries.duplicates(since=TODAY, scan=scan)[::-1]
            assert (finding.kind, finding.subject) == ("same_date", str(owner))
            assert set(finding.delivery_ids) == {first, second}
            assert finding.detail == f"{TODAY}, accepted 2 times"
            assert self.found(world, since=TODAY + timedelta(days=1), scan=scan) == [
                ("constraint", "one_daily_delivery", "missing")
            ]
            be(world, second, "missed")
            assert [kind for kind, _, _ in self.found(world, scan=scan)] == ["constraint"]
        finally:
            world.change("delete from mail_batch_items")
            world.change("delete from scheduled_deliveries")
            world.change(back)

    @pytest.mark.parametrize("scan", [False, True], ids=["at a look", "counting all"])
    @pytest.mark.parametrize("days_ago", [0, 9999], ids=["of late", "of all that was ever sent"])
    def test_one_story_mailed_twice_is_found(self, world: World, days_ago: int, scan: bool) -> None:
        _, (first, second, _) = world.sent(3)
        story = world.row("scheduled_deliveries", first)["story_id"]
        since = TODAY - timedelta(days=days_ago)
        _, away, back = CONSTRAINTS[2]
        world.change(away)
        try:
            world.change("update scheduled_deliveries set story_id = %s where id = %s", story, second)
            twice = ("same_story", str(story), "one story, accepted 2 times")
            found = self.found(world, since=since, scan=scan)
            assert [each for each in found if each[0] == "same_story"] == [twice]
            assert "same_story" not in str(self.found(world, since=TODAY + timedelta(days=1), scan=scan))
            be(world, second, "missed")
            assert "same_story" not in str(self.found(world, since=since, scan=scan))
        finally:
            world.change("delete from mail_batch_items")
            world.change("delete from scheduled_deliveries")
            world.change(back)

    def test_a_delivery_accepted_twice_is_found(self, world: World) -> None:
        _, (member,) = world.sent()
        other, _ = world.sent()
        world.change(
            "insert into mail_batch_items (batch_id, pos, delivery_id, live, outcome, provider_id)"
            " values (%s, 9, %s, false, 'accepted', null)",
            other,
            member,
        )
        assert self.found(world) == [("accepted_twice", str(member), f"provider ids id-{member}, unknown")]

    def test_a_delivery_accepted_twice_is_known_without_a_scan_once_it_is_on_record(
        self, world: World
    ) -> None:
        _, (member,) = world.sent()
        assert self.found(world, scan=False) == []
        world.store.operations.record_audit(
            actor="settle", host="", action="sent twice", target=str(member), reason="", result={}
        )
        long_ago = TODAY - timedelta(days=9999)
        assert self.found(world, scan=False, since=long_ago) == [
            ("accepted_twice", str(member), f"provider ids id-{member}")
        ]

    def test_one_address_with_two_subscribers_is_found(self, world: World) -> None:
        _, away, back = CONSTRAINTS[-1]
        first, second = sorted(map(str, world.subscribe(2)))
        world.change(away)
        try:
            world.change(
                "update users set email = case id when %s then 'A@b.test' else 'a@B.test' end", first
            )
            assert ("same_address", "a@b.test", f"2 subscribers: {first}, {second}") in self.found(world)
        finally:
            world.change("delete from subscriber_schedule")
            world.change("delete from users")
            world.change(back)

    def test_two_leaders_of_one_loop_are_found_as_long_as_both_have_just_said_so(self, world: World) -> None:
        for process, leads in (("a", True), ("b", True), ("c", False)):
            world.store.leases.heartbeat(
                process=process,
                kind="delivery",
                host="h",
                pid=1,
                version="1",
                started_at=now(),
                info={"leads": leads},
            )
        assert self.found(world) == [("two_leaders", "delivery", "a, b")]
        world.change("update heartbeats set seen_at = seen_at - interval '20 seconds' where process = 'a'")
        assert self.found(world) == []

    def test_what_was_sent_without_a_provider_id_is_found(self, world: World) -> None:
        _, members = world.sent(3)
        world.change("update scheduled_deliveries set provider_id = null")
        assert {subject for _, subject, _ in self.found(world)} == {str(member) for member in members}
        assert {(kind, detail) for kind, _, detail in self.found(world)} == {
            ("sent_without_id", "it is sent")
        }
        assert len(self.found(world, limit=2)) == 2
