"""Rows 9 and 10: one bad address among many, and a provider that is overrun, out of order or will not have us."""

from __future__ import annotations

from tests.commands import until
from tests.faults.deployment import Deployment
from tests.standins.faults import Fault


def test_one_bad_address_in_a_hundred_is_rejected_and_the_others_have_one_mail_each(
    fallback: Deployment,
) -> None:
    deliveries = fallback.world.deliveries(100)
    bad = deliveries[37]
    (address,) = fallback.world.column(
        "select u.email from users u join scheduled_deliveries d on d.user_id = u.id where d.id = %s", bad
    )
    fallback.provider.refuse(address)
    # One request a second until the provider has named its limit: the first takes all hundred.
    fallback.world.change("insert into send_lines (name, rate) values ('resend', 1)")
    fallback.provider.rate.limit = 50
    with fallback.run("delivery"):
        fallback.settle()

    fallback.assert_one_mail_each(99)
    assert fallback.states() == {"sent": 99, "rejected": 1}
    row = fallback.world.row("scheduled_deliveries", bad)
    assert row["state"] == "rejected"
    assert address in row["reason"]
    assert fallback.world.value("select max(n) from mail_batches") == 100


def test_in_a_storm_of_429_nothing_is_lost(fallback: Deployment) -> None:
    fallback.world.deliveries(12)
    fallback.world.change("insert into send_lines (name, rate) values ('resend', 40)")
    fallback.provider.rate.limit = 3
    with fallback.run("delivery"):
        fallback.settle()

    assert fallback.provider.answers["429"] > 0
    assert set(fallback.batches()) == {"accepted"}, "a request too many is no refusal of its mails"
    fallback.assert_one_mail_each(12)


def test_a_daily_quota_stops_the_line_in_words_and_it_goes_on_the_next_day(fallback: Deployment) -> None:
    fallback.world.deliveries(10)
    fallback.world.change("insert into send_lines (name, rate) values ('resend', 50)")
    fallback.provider.quotas.daily = 4
    with fallback.run("delivery"):
        until(lambda: fallback.provider.answers["429"], "the quota to be used up")
        until(
            lambda: fallback.world.column("select paused_reason from send_lines where paused_until > now()"),
            "the line to stand still",
        )
        requests = fallback.provider.requests
        until(lambda: fallback.log.count("the line waits until") >= 1, "the loop to say so")
        assert fallback.provider.requests - requests <= 1
    (reason,) = fallback.world.column("select paused_reason from send_lines")
    assert "daily_quota_exceeded" in reason

    fallback.provider.quotas.daily = 100
    fallback.pass_time(hours=1.01)
    with fallback.run("delivery"):
        fallback.settle()
    fallback.assert_one_mail_each(10)


def test_a_provider_out_of_order_for_half_an_hour_is_asked_less_and_less_and_loses_nothing(
    fallback: Deployment,
) -> None:
    fallback.world.deliveries(3)
    fallback.provider.faults.add(Fault.BAD_STATUS, match="POST", times=None, status=500)
    with fallback.run("delivery"):
        for _ in range(6):
            _fails_again(fallback)
            fallback.pass_time(seconds=300)
        _fails_again(fallback)
        assert fallback.world.value("select min(attempts) from mail_batches") > 1
        assert fallback.provider.requests < 60
        fallback.provider.faults.clear()
        fallback.pass_time(seconds=300)
        fallback.settle()
    fallback.assert_one_mail_each(3)


def _fails_again(deployment: Deployment) -> None:
    """The same bytes go out again, in vain, and all that is known of it is on record."""
    asked = deployment.provider.requests
    at_work = (
        "select (select count(*) from scheduled_deliveries where state = 'pending')"
        " + (select count(*) from mail_batches"
        "     where settled_at is null and (state = 'sending' or next_attempt_at <= now()))"
    )
    until(
        lambda: deployment.provider.requests > asked and deployment.world.value(at_work) == 0,
        "the same bytes to go out again",
    )


def test_a_refused_key_stops_the_line_within_three_requests_and_costs_no_mail(fallback: Deployment) -> None:
    fallback.world.deliveries(10)
    fallback.world.change("insert into send_lines (name, rate) values ('resend', 50)")
    fallback.provider.api_key = "re_another"
    with fallback.run("delivery"):
        until(lambda: "the line waits until" in fallback.log, "the loop to say that the line stands still")
        assert 1 <= fallback.provider.requests <= 3
        assert "API key is invalid" in fallback.log

        fallback.provider.api_key = "re_faults"
        fallback.pass_time(seconds=61)
        fallback.settle()
    fallback.assert_one_mail_each(10)
