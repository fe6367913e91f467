"""Recording what became of a request: what follows from each answer."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import TODAY, World, now

NOTHING_SENT = [Outcome.UNAUTHORIZED, Outcome.RATE_LIMITED, Outcome.QUOTA]


def wait(world: World, batch: UUID) -> float:
    """Seconds until the batch may go out again."""
    seconds: float = (world.row("mail_batches", batch)["next_attempt_at"] - now()).total_seconds()
    return seconds


class TestAccepted:
    def test_each_delivery_gets_its_id_by_position(self, world: World) -> None:
        batch, members = world.sent(3)
        assert world.state("mail_batches", batch) == "accepted"
        for member in members:
            row = world.row("scheduled_deliveries", member)
            assert (row["state"], row["provider_id"], row["reason"]) == ("sent", f"id-{member}", None)
            assert abs((row["sent_at"] - now()).total_seconds()) < 5

    def test_positions_are_those_of_the_bytes_when_a_member_had_no_mail(self, world: World) -> None:
        batch, token, (bad, *rest) = world.draft(3)
        world.seal(batch, token, unfit={bad: "no such address"})
        begun = world.begin(batch)
        assert world.settle(batch, begun.token, Outcome.ACCEPTED, ids=("one", "two")) is Verdict.OK
        assert [world.row("scheduled_deliveries", member)["provider_id"] for member in rest] == ["one", "two"]
        assert world.state("scheduled_deliveries", bad) == "rejected"

    def test_the_bytes_are_dropped(self, world: World) -> None:
        world.sent()
        assert world.value("select count(*) from mail_bodies") == 0

    def test_may_be_repeated(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.ACCEPTED, ids=("x",))
        assert world.settle(batch, token, Outcome.ACCEPTED, ids=("x",)) is Verdict.ALREADY

    def test_an_answer_with_another_number_of_ids_is_ambiguous(self, world: World) -> None:
        batch, token, members = world.sending(3)
        assert world.settle(batch, token, Outcome.ACCEPTED, status=200, ids=("one", "two")) is Verdict.OK
        row = world.row("mail_batches", batch)
        assert (row["state"], row["last_error"]) == ("ambiguous", "the provider named 2 ids for 3 mails")
        assert [world.state("scheduled_deliveries", member) for member in members] == ["sending"] * 3

    def test_of_a_hand_that_was_given_up_still_counts_while_nobody_else_has_begun(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.lapse(batch)
        world.tick()
        assert world.state("mail_batches", batch) == "ambiguous"
        assert world.settle(batch, token, Outcome.ACCEPTED, ids=("x",)) is Verdict.OK
        assert world.state("scheduled_deliveries", member) == "sent"

    def test_of_a_delivery_accepted_before_is_an_incident_on_record(self, world: World) -> None:
        first, (member,) = world.sent()
        world.change("update scheduled_deliveries set state = 'pending' where id = %s", member)
        again = world.open()
        assert again.batch_id is not None
        world.change("update mail_batches set key = 'older' where id = %s", first)
        world.seal(again.batch_id, again.token)
        token = world.begin(again.batch_id).token
        assert world.settle(again.batch_id, token, Outcome.ACCEPTED, ids=("second",)) is Verdict.OK
        (incident,) = world.audit("sent twice")
        assert (incident["target"], incident["actor"]) == (str(member), "settle")
        assert incident["result"] == {
            "batch": str(again.batch_id),
            "earlier": str(first),
            "earlier_id": f"id-{member}",
        }
        for scan in (False, True):
            found = world.store.deliveries.duplicates(since=TODAY - timedelta(days=9999), scan=scan)
            assert [(row.kind, row.subject) for row in found] == [("accepted_twice", str(member))]


class TestRefused:
    def test_a_single_mail_is_rejected_with_the_providers_words(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        assert world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address") is Verdict.OK
        row = world.row("scheduled_deliveries", member)
        assert (row["state"], row["reason"]) == ("rejected", "bad address")
        assert world.state("mail_batches", batch) == "rejected"

    def test_many_are_split_until_the_bad_one_stands_alone(self, world: World) -> None:
        batch, token, members = world.sending(7)
        bad = members[4]
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        requests = 1
        while (opened := world.open()).verdict is Verdict.DRAFT:
            assert opened.batch_id is not None
            inside = [letter.delivery_id for letter in opened.letters]
            world.seal(opened.batch_id, opened.token, repr(inside).encode())
            token = world.begin(opened.batch_id).token
            requests += 1
            if bad in inside:
                world.settle(opened.batch_id, token, Outcome.REFUSED, status=422, error="bad address")
            else:
                ids = tuple(str(member) for member in inside)
                world.settle(opened.batch_id, token, Outcome.ACCEPTED, ids=ids)
        states = {member: world.state("scheduled_deliveries", member) for member in members}
        assert states == {member: "rejected" if member == bad else "sent" for member in members}
        assert requests == 7  # of 7, 3 and 4, 2 and 2, 1 and 1
        assert world.value("select count(distinct key) from mail_batches") == requests
        assert world.value("select count(*) from mail_bodies") == 0

    def test_may_be_repeated(self, world: World) -> None:
        batch, token, _ = world.sending(2)
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        assert world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address") is Verdict.ALREADY
        assert world.value("select count(*) from mail_batches") == 3


class TestKeyConflict:
    def test_nothing_more_is_sent_and_a_person_must_look(self, world: World) -> None:
        batch, token, members = world.sending(2)
        world.settle(batch, token, Outcome.KEY_CONFLICT, status=409, error="another payload")
        assert world.state("mail_batches", batch) == "uncertain"
        for member in members:
            row = world.row("scheduled_deliveries", member)
            assert (row["state"], row["reason"]) == (
                "uncertain",
                "the provider has seen this key with another body: another payload",
            )
        (incident,) = world.audit("key conflict")
        assert (incident["target"], incident["result"]) == (str(batch), {"key": f"fm/{batch}/1"})
        assert world.open().verdict is Verdict.EMPTY


class TestNoDefiniteAnswer:
    @pytest.mark.parametrize("outcome", [Outcome.AMBIGUOUS, Outcome.CONCURRENT])
    def test_the_same_bytes_wait_for_their_next_attempt(self, world: World, outcome: Outcome) -> None:
        batch, token, (member,) = world.sending()
        assert world.settle(batch, token, outcome, error="timeout") is Verdict.OK
        assert world.state("mail_batches", batch) == "ambiguous"
        assert world.state("scheduled_deliveries", member) == "sending"
        assert world.begin(batch).body == b"bytes"

    def test_the_pause_doubles_from_two_seconds_with_jitter(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS)
        assert 0.5 < wait(world, batch) <= 2
        for upper in (4, 8, 16):
            world.settle(batch, world.begin(batch).token, Outcome.AMBIGUOUS)
            assert upper / 2 - 0.5 < wait(world, batch) <= upper

    def test_the_pause_ends_at_five_minutes(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.change("update mail_batches set attempts = 30")
        world.settle(batch, token, Outcome.AMBIGUOUS)
        assert 149 < wait(world, batch) <= 300

    def test_what_the_provider_asked_for_is_honoured(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS, wait_seconds=1000)
        assert 990 < wait(world, batch) <= 1000

    def test_may_be_repeated_without_effect(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS)
        before = world.row("mail_batches", batch)
        assert world.settle(batch, token, Outcome.AMBIGUOUS) in (Verdict.ALREADY, Verdict.STALE)
        assert world.row("mail_batches", batch) == before


class TestNothingSent:
    @pytest.mark.parametrize("outcome", NOTHING_SENT)
    def test_the_bytes_stay_and_go_out_later(self, world: World, outcome: Outcome) -> None:
        batch, token, (member,) = world.sending()
        assert world.settle(batch, token, outcome, error="no", wait_seconds=7) is Verdict.OK
        row = world.row("mail_batches", batch)
        assert (row["state"], row["holder"], row["last_error"]) == ("sealed", None, "no")
        assert 6 < wait(world, batch) <= 7
        assert world.state("scheduled_deliveries", member) == "sending"
        world.change("update send_lines set paused_until = '-infinity', next_slot_at = '-infinity'")
        assert world.begin(batch).body == b"bytes"

    @pytest.mark.parametrize("outcome", NOTHING_SENT)
    def test_may_be_repeated(self, world: World, outcome: Outcome) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, outcome, error="no")
        assert world.settle(batch, token, outcome, error="no") is Verdict.ALREADY

    def test_too_many_requests_slow_the_whole_line(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.RATE_LIMITED, status=429, error="slow down", wait_seconds=3)
        slot = world.value("select next_slot_at from send_lines")
        assert 2 < (slot - now()).total_seconds() <= 3

    @pytest.mark.parametrize(("outcome", "asked", "pause"), [
        (Outcome.QUOTA, 3600, 3600), (Outcome.UNAUTHORIZED, None, 60),
    ])  # fmt: skip
    def test_a_quota_or_a_refused_key_stops_the_line(
        self, world: World, outcome: Outcome, asked: float | None, pause: float
    ) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, outcome, error="the reason", wait_seconds=asked)
        (line,) = world.store.operations.snapshot(TODAY).lines
        assert line.paused_until is not None
        assert pause - 5 < (line.paused_until - now()).total_seconds() <= pause
        assert line.paused_reason == "the reason"
        assert world.open().verdict is Verdict.PAUSED


class TestARefusedSender:
    def test_stops_the_line_and_the_mails_are_made_anew_under_another_key(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        key = world.row("mail_batches", batch)["key"]
        assert (
            world.settle(batch, token, Outcome.SENDER_REFUSED, status=403, error="not verified") is Verdict.OK
        )
        row = world.row("scheduled_deliveries", member)
        assert (row["state"], row["reason"]) == ("pending", "not verified")
        assert world.open().reason == "not verified"
        world.change("update send_lines set paused_until = '-infinity'")
        again = world.open()
        assert [letter.delivery_id for letter in again.letters] == [member]
        assert again.batch_id is not None
        world.seal(again.batch_id, again.token, b"another sender")
        assert world.begin(again.batch_id).key != key

    def test_does_not_change_bytes_that_may_have_been_sent(self, world: World) -> None:
        batch, token, (member,) = world.sending()
        world.settle(batch, token, Outcome.AMBIGUOUS, error="timeout")
        world.settle(
            batch, world.begin(batch).token, Outcome.SENDER_REFUSED, status=403, error="not verified"
        )
        world.change("update send_lines set paused_until = '-infinity'")
        assert world.state("scheduled_deliveries", member) == "sending"
        assert world.begin(batch).body == b"bytes"

    def test_may_be_repeated(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.SENDER_REFUSED, error="not verified")
        assert world.settle(batch, token, Outcome.SENDER_REFUSED, error="not verified") is Verdict.ALREADY


class TestLearningTheRate:
    def rate(self, world: World) -> float:
        (line,) = world.store.operations.snapshot(TODAY).lines
        return line.rate

    def test_we_allow_ourselves_94_percent_of_what_the_provider_allows(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.settle(batch, token, Outcome.ACCEPTED, ids=("x",), rate_limit=10)
        assert self.rate(world) == pytest.approx(9.4)

    def test_a_request_too_many_costs_a_fifth_once_for_all_that_were_under_way(self, world: World) -> None:
        for batch, token, _ in [world.sending(), world.sending()]:
            world.settle(batch, token, Outcome.RATE_LIMITED, status=429, error="slow", rate_limit=10)
        assert self.rate(world) == pytest.approx(9.4 * 0.8)

    def test_each_mail_accepted_brings_a_fiftieth_back_and_no_more_than_all(self, world: World) -> None:
        for before, after in [(0.8, 0.82), (0.99, 1.0), (1.0, 1.0)]:
            batch, token, _ = world.sending()
            world.change("update send_lines set rate = %s, full_rate = 9.4", before * 9.4)
            world.settle(batch, token, Outcome.ACCEPTED, ids=("x",))
            assert self.rate(world) == pytest.approx(9.4 * after)

    def test_an_answer_that_names_no_rate_changes_nothing(self, world: World) -> None:
        batch, token, _ = world.sending()
        before = self.rate(world)
        world.settle(batch, token, Outcome.ACCEPTED, ids=("x",), rate_limit=None)
        assert self.rate(world) == before

    def test_a_rate_of_nothing_is_not_believed(self, world: World) -> None:
        batch, token, _ = world.sending()
        before = self.rate(world)
        world.settle(batch, token, Outcome.ACCEPTED, ids=("x",), rate_limit=0)
        assert self.rate(world) == before


class TestWhatIsNoLongerOurs:
    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_a_stale_token_changes_nothing(self, world: World, outcome: Outcome) -> None:
        batch, token, (member,) = world.sending()
        world.lapse(batch)
        other = world.begin(batch, "b")
        before = world.row("mail_batches", batch)
        assert world.settle(batch, token, outcome, ids=("x",), error="e") is Verdict.STALE
        assert world.row("mail_batches", batch) == before
        assert world.state("scheduled_deliveries", member) == "sending"
        assert world.settle(batch, other.token, Outcome.ACCEPTED, ids=("y",)) is Verdict.OK

    def test_an_unknown_batch_is_stale(self, world: World) -> None:
        assert world.settle(uuid7(), 1, Outcome.AMBIGUOUS) is Verdict.STALE

    def test_a_late_answer_without_a_result_does_not_disturb_a_batch_taken_back(self, world: World) -> None:
        batch, token, _ = world.sending()
        world.lapse(batch)
        world.tick()
        assert world.settle(batch, token, Outcome.REFUSED, error="bad") is Verdict.STALE
        assert world.state("mail_batches", batch) == "ambiguous"
