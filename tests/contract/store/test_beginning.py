"""The last word before the socket opens."""

from __future__ import annotations

from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.errors import DatabaseError
from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import World, now


def age(world: World, batch: UUID, column: str, hours: float) -> None:
    world.change(
        f"update mail_batches set {column} = {column} - %s * interval '1 hour' where id = %s", hours, batch
    )


class TestGo:
    def test_brings_key_bytes_count_and_token(self, world: World) -> None:
        batch, token, _ = world.draft(2)
        world.seal(batch, token, b"\x00exact bytes\xff")
        begun = world.begin(batch)
        assert (begun.verdict, begun.body, begun.count) == (Verdict.GO, b"\x00exact bytes\xff", 2)
        assert begun.key == f"fm/{batch}/1"
        assert begun.token > token

    def test_starts_the_lease_and_the_life_of_the_key(self, world: World) -> None:
        batch, _ = world.sealed()
        world.begin(batch, lease=60)
        row = world.row("mail_batches", batch)
        assert (row["state"], row["holder"], row["attempts"]) == ("sending", "hand", 1)
        assert (row["lease_expires_at"] - row["first_used_at"]).total_seconds() == 60

    def test_twice_by_one_holder_is_one_go(self, world: World) -> None:
        batch, _ = world.sealed()
        assert world.begin(batch).token == world.begin(batch).token

    def test_of_a_lapsed_holder_passes_on_with_the_same_key_and_bytes(self, world: World) -> None:
        batch, _ = world.sealed()
        first = world.begin(batch, "a")
        world.lapse(batch)
        second = world.begin(batch, "b")
        assert (second.verdict, second.key, second.body) == (Verdict.GO, first.key, first.body)
        assert second.token > first.token
        assert world.row("mail_batches", batch)["first_used_at"] <= now()

    def test_of_an_ambiguous_batch_keeps_when_its_key_was_first_used(self, world: World) -> None:
        batch, token, _ = world.sending()
        used = world.row("mail_batches", batch)["first_used_at"]
        world.settle(batch, token, Outcome.AMBIGUOUS)
        assert world.begin(batch, "b").verdict is Verdict.GO
        assert world.row("mail_batches", batch)["first_used_at"] == used

    def test_damaged_bytes_are_not_sent(self, world: World) -> None:
        batch, _ = world.sealed()
        world.change("update mail_batches set sha256 = repeat('0', 64)")
        with pytest.raises(DatabaseError, match="damaged"):
            world.begin(batch)


class TestTheRate:
    def test_slots_are_as_far_apart_as_the_rate_allows(self, world: World) -> None:
        batches = [world.sealed()[0] for _ in range(3)]
        world.change("update send_lines set rate = 2, next_slot_at = '-infinity'")
        first, second, third = (world.begin(batch).wait_seconds for batch in batches)
        assert first == 0
        assert 0.2 < second <= 0.5
        assert 0.7 < third <= 1.0

    def test_a_slot_beyond_our_patience_is_for_later_and_not_taken(self, world: World) -> None:
        (first, _), (second, _) = world.sealed(), world.sealed()
        world.change("update send_lines set rate = 0.1, next_slot_at = '-infinity'")
        world.begin(first)
        slot = world.value("select next_slot_at from send_lines")
        begun = world.begin(second, max_wait=5)
        assert begun.verdict is Verdict.LATER
        assert 5 < begun.wait_seconds <= 10
        assert world.value("select next_slot_at from send_lines") == slot
        assert world.row("mail_batches", second)["next_attempt_at"] == slot
        assert world.row("mail_batches", second)["first_used_at"] is None

    def test_a_holder_that_missed_its_slot_and_is_put_off_gives_the_batch_back(self, world: World) -> None:
        batch, (member,) = world.sealed()
        token = world.begin(batch).token
        world.change("update send_lines set rate = 0.1, next_slot_at = clock_timestamp() + interval '9 s'")
        assert world.begin(batch, max_wait=5).verdict is Verdict.LATER
        row = world.row("mail_batches", batch)
        assert (row["state"], row["holder"], row["maybe_sent"]) == ("sealed", None, False)
        world.full_speed()
        assert world.begin(batch, "b").token > token
        assert world.state("scheduled_deliveries", member) == "sending"

    def test_the_lease_counts_from_the_slot(self, world: World) -> None:
        batch, _ = world.sealed()
        world.change("update send_lines set next_slot_at = clock_timestamp() + interval '3 seconds'")
        begun = world.begin(batch, lease=60)
        assert 2 < begun.wait_seconds <= 3
        left = world.row("mail_batches", batch)["lease_expires_at"] - now()
        assert left.total_seconds() > 61


class TestNoGo:
    def test_a_batch_in_other_hands_is_busy(self, world: World) -> None:
        batch, _ = world.sealed()
        world.begin(batch, "a")
        assert world.begin(batch, "b").verdict is Verdict.BUSY

    def test_a_settled_batch_is_done(self, world: World) -> None:
        batch, _ = world.sent()
        assert world.begin(batch).verdict is Verdict.DONE

    def test_a_draft_has_no_bytes_yet(self, world: World) -> None:
        batch, _, _ = world.draft()
        assert world.begin(batch).verdict is Verdict.DRAFT

    def test_an_unknown_batch_is_gone(self, world: World) -> None:
        assert world.begin(uuid7()).verdict is Verdict.GONE

    def test_while_mail_is_held_nothing_goes(self, world: World) -> None:
        batch, _ = world.sealed()
        world.store.leases.set_switch(name="mail_held", on=True, by="ana", host="h", reason="restore")
        begun = world.begin(batch)
        assert (begun.verdict, begun.reason) == (Verdict.PAUSED, "mail is held")

    def test_on_a_paused_line_the_batch_waits_until_it_moves_again(self, world: World) -> None:
        (refused, token, _), (batch, _) = world.sending(), world.sealed()
        world.settle(refused, token, Outcome.QUOTA, error="daily quota", wait_seconds=100)
        begun = world.begin(batch)
        assert (begun.verdict, begun.reason) == (Verdict.PAUSED, "daily quota")
        row = world.row("mail_batches", batch)
        assert row["next_attempt_at"] == world.value("select paused_until from send_lines")
        assert row["first_used_at"] is None


class TestTheWindow:
    def test_a_mail_never_sent_and_too_late_is_missed(self, world: World) -> None:
        batch, (member,) = world.sealed()
        age(world, batch, "send_until", 11)
        assert world.begin(batch).verdict is Verdict.WINDOW
        assert world.state("mail_batches", batch) == "dissolved"
        row = world.row("scheduled_deliveries", member)
        assert (row["state"], row["reason"]) == ("missed", "it could not be sent in time")

    def test_a_mail_due_23_hours_ago_is_not_sent(self, world: World) -> None:
        batch, _ = world.sealed()
        age(world, batch, "due_at", 22.1)
        assert world.begin(batch).verdict is Verdict.WINDOW

    def test_a_key_used_23_hours_ago_protects_no_longer_what_may_have_been_sent(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS, error="timeout")
        age(world, batch, "first_used_at", 23.1)
        assert world.begin(batch).verdict is Verdict.WINDOW
        assert world.state("mail_batches", batch) == "uncertain"
        row = world.row("scheduled_deliveries", member)
        assert row["state"] == "uncertain"
        assert "timeout" in row["reason"]

    def test_a_hand_that_died_while_sending_leaves_an_uncertain_mail(self, world: World) -> None:
        batch, _, (member,) = world.sending()
        world.lapse(batch)
        age(world, batch, "first_used_at", 23.1)
        assert world.begin(batch, "b").verdict is Verdict.WINDOW
        assert world.state("scheduled_deliveries", member) == "uncertain"

    def test_what_the_provider_always_turned_away_is_missed_and_not_uncertain(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.settle(batch, token, Outcome.QUOTA, error="monthly quota", wait_seconds=0)
        age(world, batch, "first_used_at", 23.1)
        assert world.begin(batch).verdict is Verdict.WINDOW
        row = world.row("scheduled_deliveries", member)
        assert (row["state"], row["reason"]) == ("missed", "it could not be sent in time: monthly quota")

    def test_one_attempt_without_an_answer_makes_it_uncertain_whatever_came_after(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS, error="timeout")
        again = world.begin(batch)
        world.settle(batch, again.token, Outcome.QUOTA, error="monthly quota", wait_seconds=0)
        age(world, batch, "first_used_at", 23.1)
        assert world.begin(batch).verdict is Verdict.WINDOW
        assert world.state("scheduled_deliveries", member) == "uncertain"

    def test_nor_does_a_definite_answer_to_the_next_hand_make_up_for_one_that_died(
        self, world: World
    ) -> None:
        batch, _, (member,) = world.sending()
        world.lapse(batch)
        next_hand = world.begin(batch, "b")
        world.settle(batch, next_hand.token, Outcome.QUOTA, error="monthly quota", wait_seconds=0)
        age(world, batch, "first_used_at", 23.1)
        assert world.begin(batch, "b").verdict is Verdict.WINDOW
        assert world.state("scheduled_deliveries", member) == "uncertain"

    def test_the_bytes_are_dropped(self, world: World) -> None:
        batch, _ = world.sealed()
        age(world, batch, "send_until", 11)
        world.begin(batch)
        assert world.value("select count(*) from mail_bodies") == 0


class TestSubscribersWhoLeftSinceItWasSealed:
    @pytest.mark.parametrize(
        ("status", "state"), [("unsubscribed", "cancelled"), ("suppressed", "suppressed")]
    )
    def test_are_taken_out_and_the_rest_is_sealed_anew(self, world: World, status: str, state: str) -> None:
        batch, (gone, stays) = world.sealed(2)
        world.withdraw(gone, status)
        begun = world.begin(batch)
        assert begun.verdict is Verdict.RESEAL
        assert [letter.delivery_id for letter in begun.letters] == [stays]
        row = world.row("scheduled_deliveries", gone)
        assert (row["state"], row["reason"]) == (state, f"the subscriber is {status}")
        assert world.value("select count(*) from mail_bodies") == 0
        assert world.seal(batch, begun.token, b"the rest") is Verdict.OK
        again = world.begin(batch)
        assert (again.verdict, again.body, again.count) == (Verdict.GO, b"the rest", 1)

    def test_with_nobody_left_there_is_nothing_to_send(self, world: World) -> None:
        batch, (gone,) = world.sealed()
        world.withdraw(gone, "unsubscribed")
        assert world.begin(batch).verdict is Verdict.DONE
        assert world.state("mail_batches", batch) == "dissolved"
        assert world.state("scheduled_deliveries", gone) == "cancelled"

    def test_a_changed_address_is_taken_up(self, world: World) -> None:
        batch, (member,) = world.sealed()
        world.change("update users set email = 'new@example.com'")
        begun = world.begin(batch)
        assert begun.verdict is Verdict.RESEAL
        assert [letter.address for letter in begun.letters] == ["new@example.com"]
        assert world.row("scheduled_deliveries", member)["address"] == "new@example.com"

    def test_the_old_draft_token_is_worthless(self, world: World) -> None:
        batch, token, (gone, _) = world.draft(2)
        world.seal(batch, token)
        world.withdraw(gone, "unsubscribed")
        world.begin(batch)
        assert world.seal(batch, token, b"old") is Verdict.STALE

    def test_once_begun_the_same_bytes_go_out_again_whoever_left(self, world: World) -> None:
        batch, token, (member, _) = world.sending(2)
        world.settle(batch, token, Outcome.AMBIGUOUS)
        world.withdraw(member, "unsubscribed")
        begun = world.begin(batch)
        assert (begun.verdict, begun.count) == (Verdict.GO, 2)
