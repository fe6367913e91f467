"""Rows 18 to 20: readers who leave in the middle, events that lie or come again, writers that fail."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from fixionmail.errors import StoryError
from fixionmail.jobs.claims import ClaimKeeper
from fixionmail.jobs.tasks import Tools, write_story
from fixionmail.mail.outbox import Outbox
from fixionmail.mail.pacing import SlotClock
from fixionmail.mail.render import Sender
from fixionmail.models.mail import ProviderEvent
from fixionmail.models.stories import Brief, Story
from fixionmail.stories.desk import Desk
from fixionmail.stories.writer import Limits
from tests.commands import until
from tests.faults.deployment import Deployment, state_of

# ---- Row 18 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "state"), [("unsubscribed", "cancelled"), ("suppressed", "suppressed")])
@pytest.mark.parametrize("point", ["before open_batch_v1", "before seal_batch_v1", "before begin_batch_v1"])
def test_who_leaves_before_the_request_was_ever_begun_gets_no_mail(
    fallback: Deployment, point: str, status: str, state: str
) -> None:
    leaves, stays = fallback.world.deliveries(2)
    fallback.world.change("insert into send_lines (name, rate) values ('resend', 1)")  # both in one request
    with fallback.run("delivery", fault=f"stop {point}") as sender:
        until(lambda: state_of(sender) == "stopped", "the sender to stop")
        fallback.world.withdraw(leaves, status)
        sender.send_signal(signal.SIGCONT)
        fallback.settle()
    assert fallback.world.state("scheduled_deliveries", leaves) == state
    assert fallback.world.state("scheduled_deliveries", stays) == "sent"
    fallback.assert_one_mail_each(1)


# ---- Row 19 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kinds",
    [
        ["email.delivered", "email.sent", "email.complained"],
        ["email.complained", "email.delivered", "email.sent", "email.delivered"],
        ["email.sent", "email.complained", "email.delivery_delayed"],
    ],
    ids="then ".join,
)
def test_events_in_any_order_and_any_number_end_in_the_same_state(
    fallback: Deployment, kinds: list[str]
) -> None:
    (delivery,) = fallback.world.deliveries()
    with fallback.run("delivery"):
        fallback.settle()
    (mail,) = fallback.provider.ledger.mails()
    for kind in kinds:
        event = _event(kind, mail.id, delivery)
        for _ in range(2):
            fallback.world.store.incoming.record_event(event)
    assert fallback.world.state("scheduled_deliveries", delivery) == "complained"
    assert set(fallback.mails().values()) == {1}


def _event(kind: str, provider_id: str, delivery: UUID) -> ProviderEvent:
    return ProviderEvent(
        message_id=f"msg_{uuid4().hex}",
        kind=kind,
        provider_id=provider_id,
        delivery_id=delivery,
        happened_at=datetime.now(UTC),
        detail="",
        suppresses=kind == "email.complained",
    )


# ---- Row 20 ----------------------------------------------------------------------------------------------------------


class FailingWriter:
    """A writer that answers as it is told."""

    name = "failing"

    def __init__(self, answer: Callable[[], Story]) -> None:
        self._answer = answer

    def limits(self, brief: Brief) -> Limits:
        return Limits.around(brief.length, brief.language)

    def write(self, brief: Brief, desk: Desk) -> Story:
        return self._answer()


def time_out() -> Story:
    raise StoryError("no answer within 60 s")


def refuse() -> Story:
    raise StoryError("the writer refuses: content policy")


def break_off() -> Story:
    return Story(title="The Lamp", body="", writer="failing")


def break_down() -> Story:
    raise RuntimeError("a defect")


@pytest.fixture
def keeper(fallback: Deployment) -> Iterator[ClaimKeeper]:
    kept = ClaimKeeper(fallback.world.store)
    yield kept
    kept.close()


@pytest.mark.parametrize("answer", [time_out, refuse, break_off, break_down])
def test_a_writer_that_fails_is_asked_again_and_then_the_mail_is_missed_with_its_reason(
    fallback: Deployment, keeper: ClaimKeeper, answer: Callable[[], Story]
) -> None:
    world = fallback.world
    job = world.job()
    sender = Sender(address="stories@example.com", base_url="https://example.com")
    tools = Tools(
        store=world.store,
        keeper=keeper,
        writer=FailingWriter(answer),
        limits={},
        line=world.line,
        mailer=Outbox(fallback.home / "outbox", now=lambda: datetime.now(UTC)),
        sender=sender,
        story_seconds=60,
        charge=0,
        clock=SlotClock(),
        ring_mail=lambda rounds: None,
    )
    attempts = 0
    while world.state("story_jobs", job) == "pending":
        with pytest.raises(Exception, match=r".") as told:
            write_story(tools, str(job))
        attempts += 1
        world.change("update story_jobs set run_after = now() where state = 'pending'")
    assert attempts == world.row("story_jobs", job)["max_attempts"]
    assert world.state("story_jobs", job) == "failed"
    ((state, reason),) = world.connection.execute("select state, reason from scheduled_deliveries").fetchall()
    assert state == "missed"
    assert "the story could not be written" in reason
    assert str(told.value) in reason
    assert world.value("select count(*) from stories") == 0
