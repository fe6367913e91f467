"""Deliveries, subscribers, the mail line and the switches: changed as they were seen, or left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from uuid_utils.compat import uuid7

from fixionmail.errors import FixionMailError, InputError, SettingsError
from fixionmail.models.mail import Outcome
from fixionmail.ops import actions
from fixionmail.ops.actions import Hands
from fixionmail.settings import Settings
from fixionmail.store import Store
from fixionmail.store.transport import Transport
from tests.contract.store.world import World
from tests.integration.ops.acting import ORDER, act, run
from tests.integration.worker.servers import RedisServer


@pytest.fixture
def hands(
    redis: Redis, server: RedisServer, direct_store: Store, database_url: str, tmp_path: Path
) -> Iterator[Hands]:
    """A whole deployment."""
    settings = Settings.model_validate(
        {"redis_url": server.url, "database_url": database_url, "fixionmail_home": tmp_path}
    )
    with closing(Hands(redis_url=server.url, store=lambda: direct_store, settings=settings)) as opened:
        yield opened


@dataclass
class Counted:
    """A road to the database that knows what was called."""

    inner: Transport
    name: str = "counted"
    calls: list[str] = field(default_factory=list)

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.calls.append(function)
        return self.inner.call(function, arguments)

    def close(self) -> None:
        """The inner one stays open."""


def missed(world: World) -> UUID:
    (member,) = world.deliveries()
    world.change("update scheduled_deliveries set state = 'missed', reason = 'late' where id = %s", member)
    return member


def uncertain(world: World) -> UUID:
    batch, token, (member,) = world.sending()
    world.settle(batch, token, Outcome.KEY_CONFLICT, status=409, error="another body")
    return member


class TestDeliveries:
    def test_what_was_missed_is_sent_again_and_on_record(self, hands: Hands, world: World) -> None:
        late = missed(world)
        assert act(hands, "retry-delivery", str(late)) == {str(late): "ok"}
        assert world.state("scheduled_deliveries", late) == "pending"
        assert world.audit()[-1]["action"] == "retry-delivery"

    def test_what_was_sent_is_refused_with_a_warning(self, hands: Hands, world: World) -> None:
        _, (sent,) = world.sent()
        previewed = actions.preview(hands, "retry-delivery", (str(sent),))
        assert previewed.warnings == ("1 of these may have gone out already.",)
        assert run(hands, previewed)[str(sent)].startswith("refused: ")
        assert world.state("scheduled_deliveries", sent) == "sent"

    def test_what_moved_on_after_the_preview_is_left_alone(self, hands: Hands, world: World) -> None:
        (member,) = world.deliveries()
        previewed = actions.preview(hands, "cancel-delivery", (str(member),))
        assert previewed.warnings == ()
        world.change("update scheduled_deliveries set state = 'missed', reason = 'late'")
        assert run(hands, previewed)[str(member)] == "moved on: it has become missed"
        assert world.state("scheduled_deliveries", member) == "missed"

    def test_what_waits_is_cancelled_and_the_second_time_nothing_changes(
        self, hands: Hands, world: World
    ) -> None:
        (member,) = world.deliveries()
        previewed = actions.preview(hands, "cancel-delivery", (str(member),))
        assert run(hands, previewed) == {str(member): "ok"}
        assert run(hands, previewed) == {str(member): "already"}
        assert world.state("scheduled_deliveries", member) == "cancelled"

    def test_one_that_does_not_exist_is_gone_and_the_others_are_done(
        self, hands: Hands, world: World
    ) -> None:
        late, unknown = missed(world), uuid7()
        assert act(hands, "retry-delivery", str(unknown), str(late)) == {
            str(unknown): "gone",
            str(late): "ok",
        }

    def test_what_an_operator_knows_of_uncertain_ones_is_recorded(self, hands: Hands, world: World) -> None:
        out, back = uncertain(world), uncertain(world)
        previewed = actions.preview(hands, "resolve-sent", (str(out),))
        order = replace(ORDER, detail="re_7")
        assert [step.details for step in actions.run(hands, previewed, order)] == [((str(out), "ok"),)]
        assert world.row("scheduled_deliveries", out)["provider_id"] == "re_7"
        previewed = actions.preview(hands, "resolve-not-sent", (str(back),))
        assert "a second time" in previewed.warnings[0]
        assert run(hands, previewed) == {str(back): "ok"}
        assert world.state("scheduled_deliveries", back) == "missed"

    def test_the_providers_id_is_that_of_one_mail(self, hands: Hands, world: World) -> None:
        with pytest.raises(InputError, match="one delivery at a time"):
            actions.preview(hands, "resolve-sent", (str(uncertain(world)), str(uncertain(world))))

    @pytest.mark.parametrize("detail", ["re 7", "re_7\n", "\x1b[31m", "\u202ere_7", "\ud800", "x" * 201])
    def test_what_cannot_be_the_providers_id_is_refused_before_anything_is_looked_at(
        self, hands: Hands, detail: str
    ) -> None:
        with pytest.raises(InputError, match="cannot be the provider's id of the mail"):
            actions.preview(hands, "resolve-sent", (str(uuid7()),), detail=detail)

    def test_the_preview_says_what_is_asked_for_and_names_it_in_the_command(self, hands: Hands) -> None:
        delivery = str(uuid7())
        assert actions.preview(hands, "resolve-sent", (delivery,)).asks == "the provider's id of the mail"
        previewed = actions.preview(hands, "resolve-sent", (delivery,), detail="re_7;ls")
        assert (
            previewed.command == f"fixionmail deliveries resolve {delivery} --sent='re_7;ls' --reason='<why>'"
        )

    def test_many_are_previewed_by_few_calls(self, hands: Hands, world: World, direct_store: Store) -> None:
        members = [str(member) for member in world.deliveries(3)]
        with closing(Counted(direct_store.transport)) as counted:
            watched = Hands(redis_url=None, store=lambda: Store.over(counted))
            previewed = actions.preview(watched, "cancel-delivery", members)
        assert (previewed.count, counted.calls) == (3, ["look_at_deliveries_v1"])
        assert "The Lamp" in previewed.samples[0]

    def test_what_is_no_id_is_refused(self, hands: Hands) -> None:
        with pytest.raises(InputError, match="'12' is not the id of a delivery"):
            actions.preview(hands, "retry-delivery", ("12",))

    def test_without_a_key_the_provider_is_not_asked(self, hands: Hands, world: World) -> None:
        member = uncertain(world)
        with pytest.raises(SettingsError, match="RESEND_API_KEY is not set"):
            actions.preview(hands, "resolve-delivery", (str(member),))
        assert world.state("scheduled_deliveries", member) == "uncertain"


class TestSubscribers:
    def test_are_suppressed_with_what_waits_for_them(self, hands: Hands, world: World) -> None:
        (member,) = world.deliveries()
        owner = world.row("scheduled_deliveries", member)["user_id"]
        address = world.row("users", owner)["email"]
        assert act(hands, "suppress", address) == {str(owner): "ok"}
        assert world.row("users", owner)["status"] == "suppressed"

    def test_who_changed_after_the_preview_is_left_alone(self, hands: Hands, world: World) -> None:
        (user,) = world.subscribe()
        previewed = actions.preview(hands, "suppress", (str(user),))
        world.change("update users set status = 'paused'")
        assert run(hands, previewed)[str(user)] == "moved on"
        assert world.row("users", user)["status"] == "paused"

    def test_who_is_unknown_is_told(self, hands: Hands) -> None:
        with pytest.raises(FixionMailError, match="nobody@"):
            actions.preview(hands, "suppress", ("nobody@example.com",))


class TestSwitches:
    @pytest.mark.parametrize(
        ("on", "off", "name"),
        [
            ("hold-mail", "release-hold", "mail_held"),
            ("pause-scheduler", "resume-scheduler", "scheduler_paused"),
        ],
    )
    def test_are_turned_on_and_off_and_tell_when_they_were_so(
        self, hands: Hands, world: World, on: str, off: str, name: str
    ) -> None:
        for action, word, is_on in (
            (on, "done", True),
            (on, "already", True),
            (off, "done", False),
            (off, "already", False),
        ):
            assert set(act(hands, action).values()) == {word}
            assert world.value("select switch_is_on_v1(%s)", name) is is_on

    def test_a_held_mail_line_opens_no_batch(self, hands: Hands, world: World) -> None:
        world.deliveries()
        act(hands, "hold-mail")
        assert world.open().letters == ()
        act(hands, "release-hold")
        assert len(world.open().letters) == 1


class TestTheLine:
    def test_that_stands_still_is_opened(self, hands: Hands, world: World) -> None:
        world.line.outlook(max_size=1)
        world.change(
            "update send_lines set paused_until = now() + interval '1 hour', paused_reason = 'quota'"
        )
        assert act(hands, "open-line", "resend", "pigeons") == {"resend": "ok", "pigeons": "gone"}
        assert act(hands, "open-line", "resend") == {"resend": "already"}
        assert world.value("select paused_until < now() from send_lines")


class TestRingingAgain:
    def test_for_all_that_waits_puts_it_and_the_mail_into_their_queues(
        self, hands: Hands, world: World, redis: Redis
    ) -> None:
        waiting = world.jobs(3)
        act(hands, "rering")
        assert sorted(redis.lrange("rq:queue:stories", 0, -1)) == sorted(
            f"story-{job}".encode() for job in waiting
        )
        assert redis.llen("rq:queue:emails") == 1

    def test_twice_queues_nothing_twice(self, hands: Hands, world: World, redis: Redis) -> None:
        (job,) = world.jobs()
        for _ in range(2):
            assert act(hands, "rering", f"story-{job}") == {f"story-{job}": "done"}
        assert redis.lrange("rq:queue:stories", 0, -1) == [f"story-{job}".encode()]

    def test_warns_less_of_stories_which_the_database_keeps_from_a_second_mail(
        self, hands: Hands, world: World, redis: Redis
    ) -> None:
        (job,) = world.jobs()
        act(hands, "rering", f"story-{job}")
        redis.hset(f"rq:job:story-{job}", mapping={"status": "failed", "started_at": "2031-05-14T08:00:00Z"})
        warnings = actions.preview(hands, "requeue", (f"story-{job}",)).warnings
        assert warnings[1].startswith("Stories and mails are safe")
