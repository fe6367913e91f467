"""Taking mail work: what open hands out, to whom, in which order and how much at once."""

from __future__ import annotations

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import HOUR, STORY, TODAY, World, now


def members(world: World, batch: UUID) -> list[UUID]:
    return world.column(
        "select delivery_id from mail_batch_items where batch_id = %s and live order by pos", batch
    )


def hold(world: World, *, on: bool = True) -> None:
    world.store.leases.set_switch(name="mail_held", on=on, by="ana", host="h", reason="restore")


class TestADraft:
    def test_brings_everything_a_mail_is_made_of(self, world: World) -> None:
        (delivery,) = world.deliveries()
        opened = world.open()
        assert opened.verdict is Verdict.DRAFT
        (letter,) = opened.letters
        row = world.row("scheduled_deliveries", delivery)
        assert (letter.delivery_id, letter.user_id) == (delivery, row["user_id"])
        assert (letter.address, letter.local_date) == (f"{letter.user_id}@example.com", TODAY)
        assert (letter.title, letter.body) == (STORY.title, STORY.body)
        assert letter.unsubscribe_token == f"token-{letter.user_id}"

    def test_reserves_its_members(self, world: World) -> None:
        (delivery,) = world.deliveries()
        opened = world.open()
        row = world.row("scheduled_deliveries", delivery)
        assert (row["state"], row["address"]) == ("sending", opened.letters[0].address)
        assert world.open("another hand").verdict is Verdict.EMPTY

    def test_asked_for_again_with_the_same_id_is_the_same_draft(self, world: World) -> None:
        world.deliveries(2)
        batch = uuid7()
        assert world.open(batch=batch) == world.open(batch=batch)

    def test_takes_the_earliest_due_first(self, world: World) -> None:
        (late,) = world.deliveries(due_at=now() - HOUR)
        (early,) = world.deliveries(due_at=now() - 2 * HOUR)
        assert [world.open().letters[0].delivery_id for _ in range(2)] == [early, late]

    def test_what_is_due_later_waits(self, world: World) -> None:
        world.deliveries(due_at=now() + HOUR)
        assert world.open().verdict is Verdict.EMPTY

    def test_what_is_too_late_is_not_taken(self, world: World) -> None:
        world.deliveries()
        world.change("update scheduled_deliveries set send_until = clock_timestamp()")
        assert world.open().verdict is Verdict.EMPTY

    def test_nothing_due_is_empty(self, world: World) -> None:
        assert world.open().verdict is Verdict.EMPTY


class TestSize:
    def test_mails_go_one_by_one_while_that_drains_the_backlog(self, world: World) -> None:
        world.deliveries(5)
        assert len(world.open().letters) == 1

    def test_under_backlog_a_request_takes_what_it_needs_to(self, world: World) -> None:
        world.deliveries(5)
        world.slow_backlog()
        assert len(world.open().letters) == 5

    def test_never_more_than_asked_for(self, world: World) -> None:
        world.deliveries(5)
        world.slow_backlog()
        assert len(world.open(size=3).letters) == 3
        assert len(world.open(size=3).letters) == 2

    @pytest.mark.parametrize(("waited", "size"), [(0, 3), (4, 5), (600, 20)])
    def test_just_enough_to_be_through_ten_seconds_after_the_first_was_due(
        self, world: World, waited: int, size: int
    ) -> None:
        world.deliveries(20)
        world.line.outlook(max_size=1)
        world.change("update send_lines set rate = 0.8")  # eight requests in ten seconds
        world.change(f"update scheduled_deliveries set due_at = clock_timestamp() - interval '{waited} s'")
        assert len(world.open().letters) == size


class TestSubscribersWhoLeft:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("unsubscribed", "cancelled"),
            ("paused", "cancelled"),
            ("removed", "cancelled"),
            ("suppressed", "suppressed"),
        ],
    )
    def test_are_sorted_out(self, world: World, status: str, state: str) -> None:
        gone, stays = world.deliveries(2)
        world.withdraw(gone, status)
        world.slow_backlog()
        opened = world.open()
        assert [letter.delivery_id for letter in opened.letters] == [stays]
        row = world.row("scheduled_deliveries", gone)
        assert (row["state"], row["reason"]) == (state, f"the subscriber is {status}")

    def test_when_nobody_is_left_the_draft_is_gone_too(self, world: World) -> None:
        world.deliveries(2)
        world.change("update users set status = 'unsubscribed'")
        world.slow_backlog()
        opened = world.open()
        assert (opened.verdict, opened.letters) == (Verdict.DRAFT, ())
        assert opened.batch_id is not None
        assert world.state("mail_batches", opened.batch_id) == "dissolved"

    def test_asked_for_again_such_a_draft_is_still_empty(self, world: World) -> None:
        world.deliveries()
        world.change("update users set status = 'unsubscribed'")
        batch = uuid7()
        world.open(batch=batch)
        world.deliveries()
        assert world.open(batch=batch).letters == ()


class TestBatchesThatWait:
    def test_a_sealed_batch_whose_hand_is_gone_is_ready_for_another(self, world: World) -> None:
        batch, _ = world.sealed()
        assert world.open("b").verdict is Verdict.EMPTY  # its hand has a moment
        world.change("update mail_batches set next_attempt_at = clock_timestamp()")
        opened = world.open("b")
        assert (opened.verdict, opened.batch_id) == (Verdict.READY, batch)

    def test_is_shown_to_one_hand_at_a_time(self, world: World) -> None:
        world.sealed()
        world.change("update mail_batches set next_attempt_at = clock_timestamp()")
        assert world.open("b").verdict is Verdict.READY
        assert world.open("c").verdict is Verdict.EMPTY

    def test_an_ambiguous_batch_is_ready_when_its_pause_is_over(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS)
        assert world.open("b").verdict is Verdict.EMPTY
        world.change("update mail_batches set next_attempt_at = clock_timestamp()")
        assert world.open("b").verdict is Verdict.READY

    def test_they_come_before_what_is_newly_due(self, world: World) -> None:
        world.sealed()
        world.change("update mail_batches set next_attempt_at = clock_timestamp()")
        world.deliveries()
        assert world.open("b").verdict is Verdict.READY
        assert world.open("b").verdict is Verdict.DRAFT

    def test_a_batch_on_its_way_is_nobodys_work(self, world: World) -> None:
        world.sending()
        assert world.open("b").verdict is Verdict.EMPTY


class TestHalvesOfARefusedBatch:
    def test_are_drafts_for_whoever_comes_with_a_token_of_their_own(self, world: World) -> None:
        batch, token, sent = world.sending(4)
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        first, second = world.open("a"), world.open("b")
        assert (first.verdict, second.verdict) == (Verdict.DRAFT, Verdict.DRAFT)
        assert {first.batch_id, second.batch_id}.isdisjoint({batch, None})
        halves = [[letter.delivery_id for letter in half.letters] for half in (first, second)]
        assert sorted(halves) == sorted([sent[:2], sent[2:]])

    def test_belong_to_the_hand_that_took_them(self, world: World) -> None:
        batch, token, _ = world.sending(2)
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        half = world.open("a")
        assert half.batch_id is not None
        assert world.seal(half.batch_id, half.token - 1) is Verdict.STALE
        assert world.seal(half.batch_id, half.token) is Verdict.OK


class TestAStandstill:
    def test_while_mail_is_held_nothing_is_opened(self, world: World) -> None:
        world.deliveries()
        hold(world)
        opened = world.open()
        assert (opened.verdict, opened.reason) == (Verdict.PAUSED, "mail is held")
        hold(world, on=False)
        assert world.open().verdict is Verdict.DRAFT

    def test_a_paused_line_says_why(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.QUOTA, status=429, error="daily quota", wait_seconds=100)
        world.deliveries()
        opened = world.open()
        assert (opened.verdict, opened.reason) == (Verdict.PAUSED, "daily quota")

    def test_the_other_lines_go_on(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.QUOTA, status=429, error="daily quota", wait_seconds=100)
        world.deliveries()
        other = world.store.mail_line("outbox", 5)
        opened = other.open(batch_id=uuid7(), holder="hand", lease_seconds=60, max_size=1)
        assert opened.verdict is Verdict.DRAFT


class TestTheOutlook:
    def test_of_an_empty_line(self, world: World) -> None:
        outlook = world.store.mail_line("resend", 2).outlook(max_size=100)
        assert (outlook.due, outlook.ready, outlook.requests, outlook.next_at) == (0, 0, 0, None)
        assert (outlook.rate, outlook.held, outlook.paused_until, outlook.paused_reason) == (
            2,
            False,
            None,
            "",
        )

    def test_counts_what_is_due_and_the_requests_it_takes(self, world: World) -> None:
        world.deliveries(5)
        world.slow_backlog()
        outlook = world.line.outlook(max_size=2)
        assert (outlook.due, outlook.ready, outlook.requests) == (5, 0, 3)

    def test_counts_batches_that_are_ready(self, world: World) -> None:
        world.sealed()
        world.change("update mail_batches set next_attempt_at = clock_timestamp()")
        outlook = world.line.outlook(max_size=100)
        assert (outlook.due, outlook.ready, outlook.requests) == (0, 1, 1)

    def test_counts_halves_of_a_refused_batch(self, world: World) -> None:
        batch, token, _ = world.sending(4)
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        assert world.line.outlook(max_size=100).ready == 2

    def test_knows_when_the_next_delivery_is_due(self, world: World) -> None:
        due_at = now() + HOUR
        world.deliveries(due_at=due_at)
        world.deliveries(due_at=due_at + HOUR)
        assert world.line.outlook(max_size=100).next_at == due_at

    def test_knows_when_the_next_batch_is_to_be_tried_again(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS, wait_seconds=1000)
        world.deliveries(due_at=now() + HOUR)
        assert world.line.outlook(max_size=100).next_at == world.row("mail_batches", batch)["next_attempt_at"]

    def test_says_that_mail_is_held_or_the_line_paused(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.UNAUTHORIZED, status=401, error="bad key")
        hold(world)
        outlook = world.line.outlook(max_size=100)
        assert outlook.held
        assert outlook.paused_reason == "bad key"
        assert outlook.paused_until is not None
        assert outlook.paused_until > outlook.now
