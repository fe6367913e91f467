"""What a story looks like as a mail, and as the body of a request."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from fixionmail.errors import MailError, SettingsError
from fixionmail.mail.prose import LINE_WIDTH, MAX_SUBJECT
from fixionmail.mail.render import MAX_PARTS_BYTES, Mail, Sender, render, request_body
from tests.standins import resend_rules
from tests.standins.openapi import allows_email
from tests.unit.mail.letters import BODY, SENDER, hostile_text, letter, mails


class Page(HTMLParser):
    """What a browser would find in a mail: its elements with their attributes, and the text of its paragraphs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.links: list[str] = []
        self.paragraphs: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[f"{tag} {attrs}"] += 1
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self._open.append(tag)
        if tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "p" in self._open:
            self.paragraphs[-1] += data


def _checked(mail: Mail) -> Mail:
    """``mail``, which is well within what the provider and mail clients take."""
    for body in (request_body([mail]), request_body([mail, mail])):
        body.decode()
    assert allows_email(json.loads(request_body([mail])))
    assert len(resend_rules.read_single(request_body([mail]))) == 1
    assert len(resend_rules.read_batch(request_body([mail, mail]))) == 2
    return mail


def test_a_mail_carries_the_story_in_both_parts() -> None:
    mail = _checked(render(letter(), SENDER))
    assert mail.subject == "The Lamplighter’s Last Winter"
    assert mail.recipient == "reader@example.com"
    assert "“You’ll burn your fingers,” he said." in mail.html
    assert "“You’ll burn your fingers,” he said." in mail.text
    for part in (mail.html, mail.text):
        assert mail.subject in part
        assert "Tuesday, 24 November 2026" in part
        assert "because you asked FixionMail for a story a day" in part
        assert "https://fixion.example.com/unsubscribe/tok-1" in part


def test_a_mail_can_be_unsubscribed_with_one_click_and_names_its_delivery_and_date() -> None:
    mail = render(letter(), SENDER)
    delivery = str(letter().delivery_id)
    assert mail.headers == {
        "List-Unsubscribe": "<https://fixion.example.com/unsubscribe/tok-1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "X-FixionMail-Delivery": delivery,
    }
    assert mail.payload()["tags"] == [
        {"name": "delivery", "value": delivery},
        {"name": "local_date", "value": "2026-11-24"},
    ]


def test_a_token_cannot_leave_its_place_in_the_link() -> None:
    mail = _checked(render(letter(token='../a?b=c>\r\nBcc: x"'), SENDER))
    link = "https://fixion.example.com/unsubscribe/..%2Fa%3Fb%3Dc%3E%0D%0ABcc%3A%20x%22"
    assert mail.headers["List-Unsubscribe"] == f"<{link}>"
    assert Page(mail.html).links == [link]


@settings(max_examples=150, deadline=None)
@given(title=hostile_text, body=hostile_text)
def test_no_story_text_becomes_markup_a_header_or_an_expression(title: str, body: str) -> None:
    usual = Page(render(letter(), SENDER).html)
    mail = _checked(render(letter(title=title, body="Once. " + body), SENDER))
    page = Page(mail.html)
    assert page.elements.keys() - {"br []"} <= usual.elements.keys() | {_SCENE_BREAK}
    assert page.links == usual.links
    shown = "".join("".join(page.paragraphs).replace("∗∗∗", "").split())
    assert len(shown) >= len("Once.")
    assert ("49" in shown) == ("49" in body)
    assert shown.startswith("Once.")
    assert mail.headers == render(letter(), SENDER).headers


@settings(max_examples=150, deadline=None)
@given(title=hostile_text)
def test_a_subject_is_one_bounded_line_that_shows_what_it_says(title: str) -> None:
    subject = render(letter(title=title), SENDER).subject
    assert 1 <= len(subject) <= MAX_SUBJECT
    assert subject == " ".join(subject.split())
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in subject)
    assert not set(subject) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("A Fox\r\nBcc: all@example.com", "A Fox Bcc: all@example.com"),
        ("\u202egnp.exe\x00", "gnp.exe"),
        ("المنارة\u200f", "المنارة\u200f"),
        ("👩\u200d🚀 in space", "👩\u200d🚀 in space"),
        (" \r\n\u200d\u202e ", "Your story for Tuesday, 24 November 2026"),
        ("word " * 2000, "word " * 28 + "word…"),
        ("x" * 10_000, "x" * 149 + "…"),
    ],
)
def test_a_subject_is_the_title_made_safe(title: str, subject: str) -> None:
    assert render(letter(title=title), SENDER).subject == subject


def test_lines_and_scenes_of_a_story_are_kept() -> None:
    body = "Dear Ines,\r\ndo not wait.\r\n\r\n* * *\r\n \t\r\nShe waited."
    mail = render(letter(body=body), SENDER)
    assert Page(mail.html).paragraphs == ["Dear Ines,\ndo not wait.", "∗∗∗", "She waited."]
    assert "Dear Ines,<br>\ndo not wait.</p>" in mail.html
    assert "\nDear Ines,\ndo not wait.\n\n" + " " * 33 + "* * *\n\nShe waited.\n\n-- \n" in mail.text


def test_the_plain_text_is_wrapped_between_words_only() -> None:
    long_word = "a" * 200
    mail = render(letter(body=f"{BODY} {long_word} end"), SENDER)
    lines = mail.text.splitlines()
    assert max(len(line) for line in lines if line != long_word) <= LINE_WIDTH
    assert long_word in lines
    assert " ".join(BODY.split()) in " ".join(mail.text.split())


def test_each_paragraph_finds_its_own_direction() -> None:
    mail = _checked(render(letter(title="المنارة", body="كان يا ما كان.\n\nOnce upon a time."), SENDER))
    assert mail.html.count('<p dir="auto"') == 2
    assert '<h1 class="title" dir="auto"' in mail.html


def test_an_inbox_shows_how_the_story_begins() -> None:
    html = render(letter(body="* * *\n\n" + BODY), SENDER).html
    assert ">The lamp on the pier had been dark for eleven winters." in html[: html.index("<table")]


@pytest.mark.parametrize("body", ["", " \r\n\t ", "\x00\x1b", "\u200b\u202e\n\n\ufeff", "\u2028"])
def test_a_story_without_text_makes_no_mail(body: str) -> None:
    with pytest.raises(MailError, match="no text"):
        render(letter(body=body), SENDER)


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b.c\r\nBcc: d@e.fg", "läser@example.com", "a" * 255 + "@b.cd"]
)
def test_an_address_that_cannot_be_used_makes_no_mail(address: str) -> None:
    with pytest.raises(MailError, match="not an address"):
        render(letter(address=address), SENDER)


def test_a_mail_that_clients_would_cut_off_is_not_made() -> None:
    size = len((mail := render(letter(), SENDER)).html.encode() + mail.text.encode())
    room = (MAX_PARTS_BYTES - size) // 4  # an é is two bytes in each of the parts
    full = render(letter(body=f"{BODY}{'é' * (room - 1)}"), SENDER)
    assert MAX_PARTS_BYTES - 8 <= len(full.html.encode() + full.text.encode()) <= MAX_PARTS_BYTES
    with pytest.raises(MailError, match="102,000"):
        render(letter(body=f"{BODY}{'é' * (room + 1)}"), SENDER)


@pytest.mark.parametrize(
    "base_url", ["https://example.com>", "https://example.com\r\nBcc: x", "https://exämple.com"]
)
def test_a_sender_with_an_unusable_base_url_is_refused(base_url: str) -> None:
    with pytest.raises(SettingsError, match="APP_BASE_URL"):
        Sender(address="a@b.cd", base_url=base_url)


def test_one_mail_is_an_object_and_several_are_an_array_in_their_order() -> None:
    several = mails(3)
    assert json.loads(request_body(several[:1])) == several[0].payload()
    assert json.loads(request_body(several)) == [mail.payload() for mail in several]


_DIGEST = (
    "from tests.unit.mail.test_render import digest_of_requests;"
    "import sys; sys.stdout.write(digest_of_requests())"
)


def digest_of_requests() -> str:
    """Of one mail and of several."""
    return hashlib.sha256(request_body(mails(1)) + request_body(mails(5))).hexdigest()


def test_the_same_letters_give_the_same_bytes_in_any_process() -> None:
    for environment in (
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Auckland", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Adak", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"},
    ):
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == digest_of_requests()


_SCENE_BREAK = next(
    element
    for element in Page(render(letter(body="A\n\n***"), SENDER).html).elements
    if "'quiet'" in element and element.startswith("p ")
)
