"""Storing the bytes of a request and its key."""

from __future__ import annotations

import zlib

from uuid_utils.compat import uuid7

from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import TODAY, World


class TestSealing:
    def test_stores_the_exact_bytes_compressed(self, world: World) -> None:
        batch, token, _ = world.draft()
        body = bytes(range(256)) * 40
        assert world.seal(batch, token, body) is Verdict.OK
        stored = world.value("select body from mail_bodies where batch_id = %s", batch)
        assert zlib.decompress(stored) == body
        row = world.row("mail_batches", batch)
        assert (row["state"], row["body_len"], row["n"]) == ("sealed", len(body), 1)

    def test_may_be_repeated(self, world: World) -> None:
        batch, token, _ = world.draft()
        world.seal(batch, token)
        assert world.seal(batch, token) is Verdict.ALREADY

    def test_a_single_mails_key_follows_from_what_it_is(self, world: World) -> None:
        batch, members = world.sealed()
        user = world.row("scheduled_deliveries", members[0])["user_id"]
        assert world.row("mail_batches", batch)["key"] == f"fm/{user}/{TODAY}/1"

    def test_several_mails_have_a_key_of_their_batch(self, world: World) -> None:
        batch, _ = world.sealed(2)
        assert world.row("mail_batches", batch)["key"] == f"fm/{batch}/1"

    def test_after_a_refusal_the_key_is_a_new_one(self, world: World) -> None:
        batch, token, _ = world.sending(2)
        world.settle(batch, token, Outcome.REFUSED, status=422, error="bad address")
        half = world.open()
        assert half.batch_id is not None
        world.seal(half.batch_id, half.token)
        assert world.row("mail_batches", half.batch_id)["key"].endswith(f"/{TODAY}/2")

    def test_a_dissolved_batch_gives_its_key_back(self, world: World) -> None:
        batch, _ = world.sealed()
        world.change("update mail_batches set send_until = clock_timestamp() - interval '1 second'")
        world.begin(batch)  # too late: dissolved
        assert world.state("mail_batches", batch) == "dissolved"
        world.change("update scheduled_deliveries set state = 'pending'")
        again = world.open()
        assert again.batch_id is not None
        assert world.seal(again.batch_id, again.token) is Verdict.OK


class TestMembersWithoutAMail:
    def test_are_rejected_with_the_reason_and_the_others_go(self, world: World) -> None:
        batch, token, (bad, *rest) = world.draft(3)
        assert world.seal(batch, token, unfit={bad: "no such address"}) is Verdict.OK
        row = world.row("scheduled_deliveries", bad)
        assert (row["state"], row["reason"]) == ("rejected", "no such address")
        assert [world.state("scheduled_deliveries", member) for member in rest] == ["sending", "sending"]
        assert world.row("mail_batches", batch)["n"] == 2
        assert world.begin(batch).count == 2

    def test_with_one_left_the_key_is_that_of_a_single_mail(self, world: World) -> None:
        batch, token, (bad, good) = world.draft(2)
        world.seal(batch, token, unfit={bad: "no such address"})
        user = world.row("scheduled_deliveries", good)["user_id"]
        assert world.row("mail_batches", batch)["key"] == f"fm/{user}/{TODAY}/1"

    def test_with_nobody_left_the_batch_is_dissolved(self, world: World) -> None:
        batch, token, members = world.draft(2)
        assert world.seal(batch, token, b"", unfit=dict.fromkeys(members, "no")) is Verdict.DISSOLVED
        assert world.state("mail_batches", batch) == "dissolved"
        assert world.value("select count(*) from mail_bodies") == 0


class TestWhatIsNoLongerOurs:
    def test_a_wrong_token_is_stale(self, world: World) -> None:
        batch, token, _ = world.draft()
        assert world.seal(batch, token + 1) is Verdict.STALE
        assert world.state("mail_batches", batch) == "draft"

    def test_a_lapsed_draft_is_stale(self, world: World) -> None:
        batch, token, _ = world.draft()
        world.lapse(batch)
        assert world.seal(batch, token) is Verdict.STALE

    def test_a_sealed_batch_takes_no_other_bytes(self, world: World) -> None:
        batch, token, _ = world.draft()
        world.seal(batch, token, b"one")
        assert world.seal(batch, token, b"another") is Verdict.STALE
        assert world.begin(batch).body == b"one"

    def test_an_unknown_batch_is_stale(self, world: World) -> None:
        assert world.seal(uuid7(), 1) is Verdict.STALE
