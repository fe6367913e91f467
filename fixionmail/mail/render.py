"""One story as one mail, and mails as the body of one request (Resend, ``POST /emails`` and ``/emails/batch``).

The same letter always gives the same bytes: the provider tells a repeated request from a new one by them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from fixionmail.errors import InputError, MailError, SettingsError
from fixionmail.mail.addresses import check_address, check_sender
from fixionmail.mail.prose import (
    LINE_WIDTH,
    date_in_words,
    is_scene_break,
    paragraphs,
    subject_of,
    wrapped,
)
from fixionmail.models.mail import Letter

if TYPE_CHECKING:
    from jinja2 import Template

MAX_PARTS_BYTES = 102_000
"""HTML and plain text together; Gmail cuts off what is beyond 102 kB, the unsubscribe link first."""
DELIVERY_HEADER = "X-FixionMail-Delivery"
DELIVERY_TAG = "delivery"
DATE_TAG = "local_date"

_PREHEADER_CHARACTERS = 110
_SCENE_BREAK = "* * *".center(LINE_WIDTH).rstrip()


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who the mails come from, and where their links lead.

    Args:
        address: ``Name <a@b.c>`` or bare.
        base_url: of the web service, without a slash at the end.

    Raises:
        SettingsError: EMAIL_FROM or APP_BASE_URL cannot be used.
    """

    address: str
    base_url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", check_sender(self.address))
        if not self.base_url.isascii() or any(c in self.base_url for c in "<> \t\r\n"):
            raise SettingsError("APP_BASE_URL must be a plain URL like https://example.com, without spaces.")


@dataclass(frozen=True, kw_only=True)
class Mail:
    """Everything of one message."""

    sender: str
    recipient: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str]
    tags: Mapping[str, str]

    def payload(self) -> dict[str, object]:
        """The message as the provider's API names its fields."""
        return {
            "from": self.sender,
            "to": [self.recipient],
            "subject": self.subject,
            "html": self.html,
            "text": self.text,
            "headers": dict(self.headers),
            "tags": [{"name": name, "value": value} for name, value in sorted(self.tags.items())],
        }


def render(letter: Letter, sender: Sender) -> Mail:
    """The mail for one letter.

    Raises:
        MailError: no mail can be made of it: unusable address, empty text, or too large.
    """
    recipient = _recipient(letter)
    story = [[wrapped(line) for line in lines] for lines in paragraphs(letter.body)]
    if not story:
        raise MailError("The story has no text.")
    day = date_in_words(letter.local_date)
    subject = subject_of(letter.title) or f"Your story for {day}"
    unsubscribe_url = f"{sender.base_url}/unsubscribe/{quote(letter.unsubscribe_token, safe='')}"
    page = {"title": subject, "day": day, "unsubscribe_url": unsubscribe_url}
    html = _template("story.html").render(page, paragraphs=_as_html(story), preheader=_preheader(story))
    text = _template("story.txt").render(page, title=wrapped(subject), paragraphs=_as_text(story))
    _check_size(html, text)
    return Mail(
        sender=sender.address,
        recipient=recipient,
        subject=subject,
        html=html,
        text=text,
        headers=_headers(letter, unsubscribe_url),
        tags={DELIVERY_TAG: str(letter.delivery_id), DATE_TAG: letter.local_date.isoformat()},
    )


def request_body(mails: Sequence[Mail]) -> bytes:
    """The exact bytes of a request: one object for one mail, an array for several."""
    payloads = [mail.payload() for mail in mails]
    value = payloads[0] if len(payloads) == 1 else payloads
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _recipient(letter: Letter) -> str:
    try:
        return check_address(letter.address)
    except InputError as error:
        raise MailError(str(error)) from None


def _headers(letter: Letter, unsubscribe_url: str) -> Mapping[str, str]:
    """Unsubscribing with one click is RFC 8058."""
    return {
        "List-Unsubscribe": f"<{unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        DELIVERY_HEADER: str(letter.delivery_id),
    }


def _check_size(html: str, text: str) -> None:
    size = len(html.encode()) + len(text.encode())
    if size > MAX_PARTS_BYTES:
        raise MailError(f"The mail would have {size:,} bytes; mail clients show {MAX_PARTS_BYTES:,} at most.")


def _as_html(story: Sequence[list[str]]) -> list[Markup]:
    """Paragraphs for the template, escaped; an empty one is a scene break."""
    line_break = Markup("<br>\n")
    return [Markup() if is_scene_break(lines) else line_break.join(lines) for lines in story]


def _preheader(story: Sequence[list[str]]) -> str:
    """The line an inbox shows after the subject: how the story begins."""
    opening = next((" ".join(lines) for lines in story if not is_scene_break(lines)), "")
    line = opening.replace("\n", " ")
    shown = line[:_PREHEADER_CHARACTERS]
    return shown if len(line) == len(shown) else shown.rpartition(" ")[0] or shown


def _as_text(story: Sequence[list[str]]) -> list[str]:
    return [_SCENE_BREAK if is_scene_break(lines) else "\n".join(lines) for lines in story]


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("fixionmail.mail"),
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
