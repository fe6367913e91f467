"""Which addresses mail is sent to, and in which form."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixionmail.errors import InputError, SettingsError
from fixionmail.mail.addresses import check_address, check_sender, split_sender
from tests.standins import resend_rules


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("reader@example.com", "reader@example.com"),
        ("  Reader.Name+tag@EXAMPLE.Co.UK\r\n", "Reader.Name+tag@example.co.uk"),
        ("o'neil@xn--strae-oqa.de", "o'neil@xn--strae-oqa.de"),
        ("leser@Straße.de", "leser@xn--strae-oqa.de"),
        ("dokusha@例え.jp", "dokusha@xn--r8jz45g.jp"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_a_usable_address_is_stored_in_one_form(given_text: str, stored: str) -> None:
    assert check_address(given_text) == stored


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no @"),
        ("example.com", "no @"),
        ("a@b@example.com", "2 @"),
        ("@example.com", "nothing stands before the @"),
        ("reader@", "not a domain name"),
        ("reader@localhost", "not a domain name"),
        ("reader@example..com", "not a domain name"),
        ("reader@-example.com", "not a domain name"),
        ("reader@192.0.2.1", "not a domain name"),
        ("reader@[192.0.2.1]", "not a domain name"),
        ("reader@exa_mple.com", "not a domain name"),
        ("reader@" + "a" * 64 + ".com", "not a domain name"),
        ("reader@xn--a.com", "international domain"),
        ("reader@\u202eexample.com", "international domain"),
        ("reader@" + "ü" * 80 + ".com", "international domain"),
        ("rea der@example.com", "a space"),
        (".reader@example.com", "stray dot"),
        ("rea..der@example.com", "stray dot"),
        ('"reader"@example.com', "not allowed there"),
        ("Reader <reader@example.com>", "not allowed there"),
        ("a,b@example.com", "not allowed there"),
        ("a@example.com, b@example.com", "2 @"),
        ("läser@example.com", "beyond ASCII"),
        ("\ufeffreader@example.com", "beyond ASCII"),
        ("a" * 65 + "@example.com", "65 characters; 64"),
        ("a" * 64 + "@" + "b" * 62 + "." + "c" * 62 + "." + "d" * 62 + ".com", "254 are allowed"),
        ("a" * 100_000 + "@example.com", "254 are allowed"),
        ("reader@example.com\r\nBcc: other@example.com", "line break"),
        ("rea\x00der@example.com", "control character"),
    ],
)
def test_an_unusable_address_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        check_address(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@given(st.text(max_size=40) | st.from_regex(r"\A[\w.+-]{1,70}@[\w.-]{1,80}\.[a-zA-Z]{2,4}\Z"))
def test_what_is_accepted_stays_as_it_is_and_suits_the_provider(text: str) -> None:
    try:
        address = check_address(text)
    except InputError:
        return
    assert check_address(address) == address
    mail = {"from": "a@example.com", "to": address, "subject": "s", "text": "t"}
    assert resend_rules.read_single(json.dumps(mail).encode()) == [mail]


def test_a_hundred_thousand_addresses_are_checked_in_well_under_two_seconds() -> None:
    started = time.process_time()
    for number in range(100_000):
        check_address(f"some.reader+{number}@Example.co.uk")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("given_text", "sender"),
    [
        ("stories@Example.com", "stories@example.com"),
        ("FixionMail <stories@localhost>", "FixionMail <stories@localhost>"),
        ("  Fixión Mail  <stories@example.com> ", "Fixión Mail <stories@example.com>"),
        ('"Fixion, Inc." <stories@example.com>', '"Fixion, Inc." <stories@example.com>'),
        ("Fixion, Inc. <stories@example.com>", '"Fixion, Inc." <stories@example.com>'),
        (r'"A \"B\" C" <stories@example.com>', r'"A \"B\" C" <stories@example.com>'),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(given_text: str, sender: str) -> None:
    assert check_sender(given_text) == sender
    assert check_sender(sender) == sender


def test_a_senders_name_is_read_without_its_quotes() -> None:
    assert split_sender('"Fixion, \\"Inc.\\"" <a@b.cd>') == ('Fixion, "Inc."', "a@b.cd")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FixionMail",
        "FixionMail <>",
        "A <a@b.c> <d@e.f>",
        "A\r\nBcc: x <a@b.cd>",
        "x" * 101 + " <a@b.cd>",
        "a b@c.de",
    ],
)
def test_an_unusable_sender_names_the_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="EMAIL_FROM"):
        check_sender(text)
