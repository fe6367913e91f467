"""Rows 7 and 8: two senders on one request, and an answer that stays unknown until the key protects no longer."""

from __future__ import annotations

import signal

from tests import commands
from tests.commands import until
from tests.faults.deployment import Deployment, state_of
from tests.standins.faults import Fault


def test_a_sender_that_slept_beyond_its_lease_has_missed_its_slot_and_sends_nothing(
    fallback: Deployment,
) -> None:
    fallback.world.deliveries(1)
    with fallback.run("delivery", fault="stop before post") as sleeper:
        until(lambda: state_of(sleeper) == "stopped", "the first sender to stop before its POST")
        fallback.pass_time(seconds=61)
        with fallback.run("delivery"):
            fallback.settle()
        settled = fallback.world.column("select to_jsonb(b) from mail_batches b")
        sleeper.send_signal(signal.SIGCONT)  # it asks for another slot, and is then told to stop
    assert fallback.provider.requests == 1
    assert fallback.world.column("select to_jsonb(b) from mail_batches b") == settled
    fallback.assert_one_mail_each(1)


def test_a_sender_whose_answer_comes_after_its_lease_does_not_disturb_the_next(fallback: Deployment) -> None:
    fallback.world.deliveries(1)
    with fallback.run("delivery", fault="stop after post") as sleeper:
        until(lambda: state_of(sleeper) == "stopped", "the first sender to stop after its POST")
        fallback.pass_time(seconds=61)
        with fallback.run("delivery"):
            fallback.settle()
        settled = fallback.world.column("select to_jsonb(b) from mail_batches b")
        sleeper.send_signal(signal.SIGCONT)
    assert fallback.world.column("select to_jsonb(b) from mail_batches b") == settled
    fallback.assert_one_mail_each(1)


class TestAnAnswerThatStaysUnknownFor23Hours:
    def fail_until_the_window_is_over(self, deployment: Deployment) -> None:
        """The provider takes the mail and always says 502; time passes, and nobody has asked again."""
        deployment.world.deliveries(1)
        deployment.provider.faults.add(Fault.BAD_STATUS_AFTER, match="POST", times=None)
        with deployment.run("delivery"):
            until(lambda: deployment.batches() == {"ambiguous": 1}, "the answer to be unknown")
        deployment.provider.faults.clear()
        deployment.pass_time(hours=25)

    def test_is_asked_for_no_more_and_uncertain(self, fallback: Deployment) -> None:
        self.fail_until_the_window_is_over(fallback)
        requests = fallback.provider.requests
        with fallback.run("delivery"):
            until(lambda: fallback.states() == {"uncertain": 1}, "the delivery to be uncertain")
        assert fallback.provider.requests == requests, "the key protects no longer: nothing may be POSTed"
        assert set(fallback.mails().values()) == {1}
        (reason,) = fallback.world.column("select reason from scheduled_deliveries")
        assert "no definite answer from the provider within its 24 hours" in reason

    def test_is_resolved_from_what_the_provider_remembers(self, fallback: Deployment) -> None:
        self.fail_until_the_window_is_over(fallback)
        with fallback.run("delivery"):
            until(lambda: fallback.states() == {"uncertain": 1}, "the delivery to be uncertain")
        (delivery,) = fallback.world.column("select id::text from scheduled_deliveries")
        words = (
            "deliveries",
            "resolve",
            delivery,
            "--from-provider",
            "--yes",
            "--reason",
            "a day without answers",
        )
        resolved = commands.run(fallback.home, *words, **fallback.settings)
        assert resolved.code == 0, resolved
        assert set(fallback.states()) <= {"sent", "delivered"}
        assert set(fallback.mails().values()) == {1}
