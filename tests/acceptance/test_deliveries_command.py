"""`fixionmail deliveries`, `db hold` and `db release`, as an operator meets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.mail.render import Sender
from fixionmail.mail.resend import Resend
from fixionmail.mail.send import Post
from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.acceptance.conftest import Fixionmail
from tests.commands import Ended, run_at_terminal
from tests.contract.store.world import TODAY, World
from tests.standins.faults import Fault
from tests.standins.resend import ResendStandIn

WHY = ("--reason", "the provider's own page says so")


def missed(world: World) -> UUID:
    (member,) = world.deliveries()
    world.change("update scheduled_deliveries set state = 'missed', reason = 'late' where id = %s", member)
    return member


def uncertain(world: World, count: int = 1) -> list[UUID]:
    batch, token, members = world.sending(count)
    world.settle(batch, token, Outcome.KEY_CONFLICT, status=409, error="another body")
    return members


def outcomes(ended: Ended) -> dict[str, str]:
    return {row["target"]: row["outcome"] for row in ended.json()["targets"]}


class TestLooking:
    def test_lists_what_is_asked_for_and_says_when_there_is_more(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        late = missed(world)
        world.deliveries(3)
        document = fixionmail("deliveries", "list", "--state", "missed", "--state", "failed", "--json").json()
        assert [row["delivery_id"] for row in document["deliveries"]] == [str(late)]
        assert (document["schema"], document["more"], document["bounded"]) == (1, False, False)
        ended = fixionmail("deliveries", "list", "--search", "THE LAMP", "--limit", "2")
        assert ended.code == 0
        assert "These are the first 2; there are more" in ended.out
        assert "No deliveries found." in fixionmail("deliveries", "list", "--search", "nobody").out

    def test_shows_one_with_its_mail_requests_and_what_is_on_record(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        (member,) = uncertain(world)
        world.change("update stories set title = '[red]\x1b]0;x\x07 The Lamp'")
        ended = fixionmail("deliveries", "show", member)
        assert ended.code == 0, ended
        said = " ".join(ended.out.split())
        for words in (str(member), "[red]", "resolve", "--from-provider", "409", "conflict"):
            assert words in said, words
        assert not {"\x1b", "\x07"} & set(ended.out)
        document = fixionmail("deliveries", "show", member, "--json").json()["delivery"]
        assert [batch["outcome"] for batch in document["batches"]] == ["uncertain"]
        assert [row["action"] for row in document["audit"]] == ["key conflict"]

    def test_what_does_not_exist_is_a_sentence(self, fixionmail: Fixionmail) -> None:
        unknown = uuid7()
        ended = fixionmail("deliveries", "show", unknown)
        assert (ended.code, ended.out, ended.err) == (1, "", f"There is no delivery {unknown}.\n")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["list", "--state", "lost"],
            ["show", "12"],
            ["retry"],
            ["retry", "--all-matching", " "],
            ["cancel", "--all-matching", "state:lost"],
            ["cancel", "--all-matching", "state:missed", str(UUID(int=1))],
            ["resolve", str(UUID(int=1)), "--not-sent"],
            ["resolve", str(UUID(int=1)), *WHY],
            ["resolve", str(UUID(int=1)), *WHY, "--not-sent", "--sent", "re_1"],
            ["resolve", str(UUID(int=1)), str(UUID(int=2)), *WHY, "--sent", "re_1"],
            ["resolve", str(UUID(int=1)), *WHY, "--from-provider"],  # and there is no RESEND_API_KEY
        ],
    )
    def test_what_cannot_be_used_is_exit_code_2(self, fixionmail: Fixionmail, arguments: list[str]) -> None:
        ended = fixionmail("deliveries", *arguments)
        assert (ended.code, ended.out) == (2, ""), ended
        assert ended.err

    def test_for_duplicates_finds_none_and_then_what_is_there(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        ended = fixionmail("deliveries", "duplicates")
        assert (ended.code, ended.out.startswith("No duplicates since ")) == (0, True)
        _, (member,) = world.sent()
        world.change("update scheduled_deliveries set provider_id = null")
        ended = fixionmail("deliveries", "duplicates", "--json")
        assert ended.code == 1
        (finding,) = ended.json()["findings"]
        assert (finding["kind"], finding["delivery_ids"]) == ("sent_without_id", [str(member)])


class TestChanging:
    def test_retries_what_can_be_and_tells_the_rest_apart(self, fixionmail: Fixionmail, world: World) -> None:
        late, unknown = missed(world), uuid7()
        world.change(
            "update scheduled_deliveries set due_at = now() + interval '1 hour' where state = 'pending'"
        )
        _, (gone_out,) = world.sent()
        ended = fixionmail("deliveries", "retry", late, gone_out, unknown, "--yes", "--json")
        assert ended.code == 3
        assert outcomes(ended) == {
            str(late): "ok",
            str(gone_out): "refused: it is sent",
            str(unknown): "gone",
        }
        assert world.state("scheduled_deliveries", late) == "pending"
        assert world.state("scheduled_deliveries", gone_out) == "sent"
        assert fixionmail("deliveries", "retry", late, "--yes").code == 0
        assert fixionmail("deliveries", "retry", gone_out, "--yes").code == 1

    def test_changes_nothing_without_a_yes_when_nobody_can_be_asked(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        late = missed(world)
        for verb in ("retry", "cancel"):
            ended = fixionmail("deliveries", verb, late)
            assert ended.code == 2
            assert f"{late}: missed, " in ended.err
            assert "1 in all? Nobody is here to ask: say --yes." in ended.err
        assert (world.state("scheduled_deliveries", late), world.audit()) == ("missed", [])

    @pytest.mark.parametrize(("answer", "code", "state"), [("n", 1, "missed"), ("y", 0, "pending")])
    def test_asks_at_a_terminal_and_does_as_it_is_told(
        self, world: World, tmp_path: Path, database_url: str, answer: str, code: int, state: str
    ) -> None:
        late = missed(world)
        retry = ("deliveries", "retry", str(late))
        ended = run_at_terminal(tmp_path, answer, *retry, DATABASE_URL=database_url)
        assert (ended.code, "Retry: 1 in all? [y/N]" in ended.err) == (code, True)
        assert world.state("scheduled_deliveries", late) == state

    def test_cancels_with_who_and_why_on_record(self, fixionmail: Fixionmail, world: World) -> None:
        (member,) = world.deliveries()
        ended = fixionmail("deliveries", "cancel", member, "--reason", "wrong story", "--yes")
        assert ended.code == 0
        assert " ok" in ended.out
        (entry,) = world.audit("delivery cancelled")
        assert (entry["reason"], entry["target"]) == ("wrong story", str(member))
        assert entry["actor"]
        assert entry["host"]
        assert [row["reason"] for row in world.audit("cancel-delivery")] == ["wrong story"]

    def test_a_dry_run_says_what_would_be_done_and_does_nothing(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        _, (sent,) = world.sent()
        ended = fixionmail("deliveries", "retry", sent, "--dry-run", "--json")
        assert (ended.code, ended.json()["action"], ended.json()["count"]) == (0, "retry-delivery", 1)
        assert ended.json()["warnings"] == ["1 of these may have gone out already."]
        assert ended.json()["command"] == f"fixionmail deliveries retry {sent}"
        assert world.audit() == []

    def test_is_done_to_all_that_match(self, fixionmail: Fixionmail, world: World) -> None:
        late = {missed(world), missed(world)}
        (waiting,) = world.deliveries()
        every = ("deliveries", "retry", "--all-matching", "state:missed the lamp", "--yes", "--json")
        ended = fixionmail(*every)
        assert ended.code == 0
        assert outcomes(ended) == {str(member): "ok" for member in late}
        assert world.row("scheduled_deliveries", waiting)["generation"] == 1
        again = fixionmail(*every)
        assert (again.code, again.json()["total"]) == (0, 0)


class TestResolving:
    def test_as_not_sent_warns_and_allows_a_retry(self, fixionmail: Fixionmail, world: World) -> None:
        (member,) = uncertain(world)
        ended = fixionmail("deliveries", "resolve", member, "--not-sent", *WHY, "--yes")
        assert (ended.code, "a second time" in ended.err) == (0, True)
        assert world.state("scheduled_deliveries", member) == "missed"
        assert fixionmail("deliveries", "retry", member, "--yes").code == 0

    def test_as_sent_records_the_operators_id(self, fixionmail: Fixionmail, world: World) -> None:
        (member,) = uncertain(world)
        assert fixionmail("deliveries", "resolve", member, "--sent", "re_7", *WHY, "--yes").code == 0
        row = world.row("scheduled_deliveries", member)
        assert (row["state"], row["provider_id"]) == ("sent", "re_7")

    def test_from_the_provider_settles_what_it_knows_and_leaves_the_rest(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        with ResendStandIn() as resend, Resend(api_key=resend.api_key, url=resend.url) as client:
            sender = Sender(address="stories@example.com", base_url="https://example.com")
            post = Post(line=world.line, mailer=client, sender=sender, holder="hand")
            made = []
            for fault in (Fault.LOST_REPLY, Fault.LOST_REQUEST):
                made += world.deliveries()
                resend.faults.add(fault, match="POST")
                post.send_due(seconds=20)
                world.change(
                    "update mail_batches set due_at = due_at - interval '1 day' where settled_at is null"
                )
                world.tick()
            went_out, nowhere = made
            resolve = ("deliveries", "resolve", went_out, nowhere, "--from-provider", *WHY, "--yes", "--json")
            ended = fixionmail(*resolve, RESEND_API_KEY=resend.api_key, RESEND_API_URL=resend.url)
            mail = resend.ledger.mails()[0].id
        assert ended.code == 3, ended
        assert outcomes(ended)[str(went_out)] == "ok"
        assert outcomes(ended)[str(nowhere)].startswith("refused: none of the 1 mails")
        assert "--not-sent" in outcomes(ended)[str(nowhere)]
        assert world.row("scheduled_deliveries", went_out)["provider_id"] == mail
        assert world.state("scheduled_deliveries", nowhere) == "uncertain"

    def test_from_the_provider_without_ids_is_about_all_that_are_uncertain(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        with ResendStandIn() as resend:
            environment = {"RESEND_API_KEY": resend.api_key, "RESEND_API_URL": resend.url}
            nothing = fixionmail("deliveries", "resolve", "--from-provider", **environment)
            members = uncertain(world, 2)
            every = ("deliveries", "resolve", "--from-provider", "--yes", "--json")
            all_of_them = fixionmail(*every, **environment)
        assert (nothing.code, nothing.out) == (0, "There is nothing to change.\n")
        assert set(outcomes(all_of_them)) == set(map(str, members))

    def test_tells_when_the_provider_shows_more_than_one_mail(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        with ResendStandIn() as resend, Resend(api_key=resend.api_key, url=resend.url) as client:
            (member,) = world.deliveries()
            resend.faults.add(Fault.LOST_REPLY, match="POST")
            sender = Sender(address="stories@example.com", base_url="https://example.com")
            Post(line=world.line, mailer=client, sender=sender, holder="hand").send_due(seconds=20)
            world.change("update mail_batches set due_at = due_at - interval '1 day'")
            world.tick()
            first = resend.ledger.mails()[0]
            resend.ledger.record([replace(first, id="second", at=first.at + 60)])
            resolve = ("deliveries", "resolve", member, "--from-provider", "--yes", "--json")
            ended = fixionmail(*resolve, RESEND_API_KEY=resend.api_key, RESEND_API_URL=resend.url)
        assert ended.code == 1
        assert outcomes(ended) == {str(member): "recorded as sent, and it went out 2 times"}
        assert world.state("scheduled_deliveries", member) == "sent"

    @pytest.mark.parametrize("words", [["--not-sent"], [str(UUID(int=1)), "--not-sent"]], ids=str)
    def test_by_word_of_the_operator_wants_ids_and_a_reason(
        self, fixionmail: Fixionmail, words: list[str]
    ) -> None:
        ended = fixionmail("deliveries", "resolve", *words)
        assert ended.code == 2
        assert "Name the deliveries and the --reason" in ended.err


class TestHolding:
    def test_keeps_mail_back_until_it_is_released(self, fixionmail: Fixionmail, world: World) -> None:
        world.deliveries()
        ended = fixionmail("db", "hold", "--reason", "restored from last night")
        assert (ended.code, ended.out.startswith("Mail is held: ")) == (0, True)
        assert world.open().verdict is Verdict.PAUSED
        (switch,) = world.store.operations.snapshot(TODAY).switches
        assert (switch.name, switch.reason) == ("mail_held", "restored from last night")
        assert fixionmail("db", "hold", "--reason", "again", "--json").json()["verdict"] == "already"
        assert fixionmail("db", "release", "--reason", "reconciled").code == 0
        assert world.open().verdict is Verdict.DRAFT
        assert [row["action"] for row in world.audit()] == ["switch on", "switch off"]

    def test_needs_a_reason(self, fixionmail: Fixionmail) -> None:
        assert (fixionmail("db", "hold").code, fixionmail("db", "release").code) == (2, 2)
