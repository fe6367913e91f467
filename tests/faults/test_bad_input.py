"""Bad input, end to end: a definite, visible end for that one delivery, and the others are unaffected."""

from __future__ import annotations

from unicodedata import category

import pytest

from tests.commands import until
from tests.faults.deployment import Deployment

UNUSABLE = {
    "malformed": ("not-an-address", "it has no @"),
    "two ats": ("reader@@example.com", "it has 2 @"),
    "beyond ASCII": ("jürgen@example.com", "beyond ASCII"),
    "too long": (f"reader@{'a.' * 130}com", "254 are allowed"),
    "long local part": (f"{'r' * 65}@example.com", "64 are allowed"),
    "line break": ("reader@example.com\nBcc: victim@example.com", "a control character or a line break"),
    "header": ("reader@example.com\r\nSubject: spam", "a control character or a line break"),
    "no domain": ("reader@", "not a domain name"),
    "two readers": ("reader@example.com, victim@example.com", "it has 2 @"),
}
TITLES = {
    "line breaks": "The Lamp\r\nBcc: victim@example.com",
    "from right to left": "\u202eThe Lamp\u2066 \u05d4\u05de\u05e0\u05d5\u05e8\u05d4",
    "emoji": "The 🪔 Lamp 👩‍👩‍👧",
    "ten thousand": "The Lamp " * 1100,
    "a template": "{{ 7 * 7 }} {% raw %} <b>Lamp</b>",
    "only control characters": "\r\n\t",
}
BODIES = {
    "a script": "<script>alert('x')</script>\n\nIt burned.",
    "markup": '<img src=x onerror="steal()"> & <b>bold</b>\n\n</body></html>',
    "a template": "{{ unsubscribe_url }} {% for x in y %}{{ config }}{% endfor %}",
    "a mail of its own": "It burned.\n\n.\n\nFrom: x@example.com\nSubject: spam\n\n--part_1",
}


def send_beside_a_good_one(deployment: Deployment) -> None:
    """Everything that is due, in one request where it can be, together with two that are well."""
    deployment.world.change("insert into send_lines (name, rate) values ('resend', 1)")
    deployment.provider.rate.limit = 50
    with deployment.run("delivery"):
        deployment.settle()


@pytest.mark.parametrize("which", UNUSABLE)
def test_an_address_that_cannot_be_written_to_is_rejected_in_words(fallback: Deployment, which: str) -> None:
    address, why = UNUSABLE[which]
    bad, *good = fallback.world.deliveries(3)
    fallback.world.change(
        "update users set email = %s where id = (select user_id from scheduled_deliveries where id = %s)",
        address,
        bad,
    )
    send_beside_a_good_one(fallback)
    row = fallback.world.row("scheduled_deliveries", bad)
    assert row["state"] == "rejected"
    assert why in row["reason"]
    assert [fallback.world.state("scheduled_deliveries", delivery) for delivery in good] == ["sent", "sent"]
    assert not any("victim" in to for mail in fallback.provider.ledger.mails() for to in mail.to)
    fallback.assert_one_mail_each(2)


def test_an_international_domain_is_written_to_in_its_ascii_form(fallback: Deployment) -> None:
    (delivery,) = fallback.world.deliveries()
    fallback.world.change("update users set email = 'reader@bücher.example'")
    send_beside_a_good_one(fallback)
    assert fallback.world.state("scheduled_deliveries", delivery) == "sent"
    assert [mail.to for mail in fallback.provider.ledger.mails()] == [["reader@xn--bcher-kva.example"]]


@pytest.mark.parametrize("which", TITLES)
def test_a_title_is_one_line_of_a_subject_and_injects_nothing(fallback: Deployment, which: str) -> None:
    odd, *_ = fallback.world.deliveries(3)
    fallback.world.change(
        "update stories set title = %s where id = (select story_id from scheduled_deliveries where id = %s)",
        TITLES[which],
        odd,
    )
    send_beside_a_good_one(fallback)
    fallback.assert_one_mail_each(3)
    (mail,) = [mail for mail in fallback.provider.ledger.mails() if mail.tags["delivery"] == str(odd)]
    assert mail.subject
    assert not any(category(character) == "Cc" for character in mail.subject)
    assert len(mail.subject) < 1000
    assert "\u202e" not in mail.subject
    assert "49" not in mail.subject
    assert set(mail.headers) == {"List-Unsubscribe", "List-Unsubscribe-Post", "X-FixionMail-Delivery"}


@pytest.mark.parametrize("which", BODIES)
def test_a_storys_text_is_text_whatever_is_in_it(fallback: Deployment, which: str) -> None:
    odd, *_ = fallback.world.deliveries(3)
    fallback.world.change(
        "update stories set body = %s where id = (select story_id from scheduled_deliveries where id = %s)",
        BODIES[which],
        odd,
    )
    send_beside_a_good_one(fallback)
    fallback.assert_one_mail_each(3)
    (mail,) = [mail for mail in fallback.provider.ledger.mails() if mail.tags["delivery"] == str(odd)]
    assert mail.html is not None
    assert mail.text is not None
    assert "<script" not in mail.html
    assert 'onerror="' not in mail.html
    assert mail.html.count("</body>") == 1
    opening = BODIES[which].split()[0]
    assert opening in mail.text


def test_a_sender_whose_domain_is_not_verified_stops_the_line_and_is_put_right_by_a_deploy(
    fallback: Deployment,
) -> None:
    fallback.world.deliveries(3)
    with fallback.run("delivery", EMAIL_FROM="stories@unverified.example"):
        until(lambda: "the line waits until" in fallback.log, "the loop to say so")
    assert "unverified.example domain is not verified" in fallback.log
    assert fallback.provider.requests <= 3
    assert fallback.states()["sent"] == 0

    fallback.pass_time(seconds=61)
    with fallback.run("delivery"):
        fallback.settle()
    fallback.assert_one_mail_each(3)
    assert {mail.sender for mail in fallback.provider.ledger.mails()} == {"FixionMail <stories@example.com>"}


@pytest.mark.parametrize(
    ("url", "said"),
    [("{url}/api", "Resend answered 404 not_found"), ("http://127.0.0.1:1", "Resend cannot be reached")],
)
def test_a_wrong_address_of_the_provider_is_visible_and_is_put_right_by_a_deploy(
    fallback: Deployment, url: str, said: str
) -> None:
    fallback.world.deliveries(3)
    with fallback.run("delivery", RESEND_API_URL=url.format(url=fallback.provider.url)):
        until(
            lambda: any(
                said in error
                for error in fallback.world.column("select last_error from mail_batches")
                if error
            ),
            "the batch to say what is wrong",
        )
    assert fallback.states()["sent"] == 0

    fallback.pass_time(seconds=61)
    with fallback.run("delivery"):
        fallback.settle()
    fallback.assert_one_mail_each(3)
