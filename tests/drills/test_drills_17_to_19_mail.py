"""Drills 17 to 19 with loops that send through a provider, which refuses until that is mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from fixionmail.loops.service import hosting
from fixionmail.ops.views.findings import Finding, Harm
from fixionmail.settings import Settings
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.standins.resend import ResendStandIn

KEY = "re_g00d"


@pytest.fixture
def provider() -> Iterator[ResendStandIn]:
    with ResendStandIn(api_key=KEY) as running:
        yield running


@pytest.fixture
def sender(deployment: Deployment, provider: ResendStandIn) -> Deployment:
    """A deployment that sends through the provider, from loops that do all the work."""
    return sending(deployment, provider)


def sending(deployment: Deployment, provider: ResendStandIn, **more: Any) -> Deployment:
    assert deployment.settings.database_url is not None
    values = {
        "redis_url": deployment.redis_url,
        "enable_redis_queue": False,
        "database_url": deployment.settings.database_url.get_secret_value(),
        "fixionmail_home": deployment.settings.home,
        "check_interval_seconds": 1,
        "resend_api_key": KEY,
        "resend_api_url": provider.url,
        "email_from": "FixionMail <stories@example.com>",
        **more,
    }
    return replace(deployment, settings=Settings.model_validate(values))


def due(deployment: Deployment, count: int) -> list[UUID]:
    """So many mails of today that are due."""
    made = deployment.world.deliveries(count)
    deployment.world.change("update scheduled_deliveries set local_date = current_date")
    deployment.world.change("insert into send_lines (name, rate) values ('resend', 50)")
    return made


def finding(deployment: Deployment, kind: str) -> Finding:
    found: Finding = until(lambda: deployment.findings().get(kind), kind)
    return found


def all_sent(deployment: Deployment) -> bool:
    return set(deployment.world.column("select state from scheduled_deliveries")) == {"sent"}


def test_17_a_refused_key_is_named_in_the_providers_words_and_mail_goes_out_once_it_is_taken(
    sender: Deployment, provider: ResendStandIn
) -> None:
    due(sender, 2)
    provider.api_key = "re_an0ther"
    with hosting(sender.settings):
        seen = finding(sender, "mail-refused")
        assert (seen.drill, seen.harm) == (17, Harm.LATE)
        assert "API key is invalid" in seen.cause
        assert seen.cures[0].command == "https://resend.com/domains"
        assert KEY not in repr(seen)
        provider.api_key = KEY
        assert sender.cure(seen, "open-line") == {"ok": 1}
        until(lambda: all_sent(sender), "the mails")
        assert not {"mail-refused", "mail-late"} & sender.findings().keys()


def test_17_a_domain_that_is_not_verified_is_named_and_the_setting_mends_it(
    deployment: Deployment, provider: ResendStandIn
) -> None:
    wrong = sending(deployment, provider, email_from="FixionMail <stories@elsewhere.org>")
    due(wrong, 2)
    with hosting(wrong.settings):
        seen = finding(wrong, "mail-refused")
    assert (seen.drill, seen.harm) == (17, Harm.LATE)
    assert "domain" in seen.cause
    right = sending(deployment, provider)
    right.cure(seen, "open-line")
    with hosting(right.settings):
        until(lambda: all_sent(right), "the mails")


def test_18_a_quota_that_is_used_up_is_named_with_its_end_and_mail_goes_on_when_there_is_more(
    sender: Deployment, provider: ResendStandIn
) -> None:
    due(sender, 3)
    provider.quotas.daily = 1
    with hosting(sender.settings):
        seen = finding(sender, "mail-quota")
        assert (seen.drill, seen.harm) == (18, Harm.LATE)
        assert "quota" in seen.cause
        assert seen.evidence[0].startswith("the line stands still until ")
        provider.quotas.daily = 100
        assert sender.cure(seen, "open-line") == {"ok": 1}
        until(lambda: all_sent(sender), "the mails")
        assert "mail-quota" not in sender.findings()


def test_19_one_bad_address_is_named_in_the_providers_words_and_its_subscriber_suppressed(
    sender: Deployment, provider: ResendStandIn
) -> None:
    bad, *others = due(sender, 4)
    (address,) = sender.world.column(
        "select u.email from users u join scheduled_deliveries d on d.user_id = u.id where d.id = %s", bad
    )
    provider.refuse(address)
    with hosting(sender.settings):
        seen = finding(sender, "address-rejected")
        until(
            lambda: {sender.world.state("scheduled_deliveries", each) for each in others} == {"sent"},
            "mail",
        )
    assert (seen.drill, seen.harm, seen.count) == (19, Harm.LOST, 1)
    assert address in seen.evidence[0]
    assert sender.cure(seen, "suppress") == {"ok": 1}
    assert sender.world.value("select status from users where email = %s", address) == "suppressed"
    assert "address-rejected" not in sender.findings()
