"""Which provider the mail goes through, by the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from fixionmail.errors import SettingsError
from fixionmail.mail.mailer import Mailer
from fixionmail.mail.outbox import Outbox
from fixionmail.mail.render import Sender
from fixionmail.settings import Settings
from fixionmail.store import Store
from fixionmail.store.mail import MailLine

RESEND_START_RATE = 2.0
"""Requests a second until Resend has named its limit: what it allows a new account (its documentation, rate limits)."""
OUTBOX_RATE = 1000.0
"""The outbox has no limit; this is beyond what one machine writes."""


@contextmanager
def open_mailer(settings: Settings) -> Iterator[Mailer]:
    """Resend when there is a key for it, the local outbox otherwise."""
    if settings.resend_api_key is None:
        yield Outbox(settings.home / "outbox", now=lambda: datetime.now(UTC))
        return
    from fixionmail.mail.resend import Resend

    key, url = settings.resend_api_key.get_secret_value(), settings.resend_api_url.get_secret_value()
    with Resend(api_key=key, url=url) as resend:
        yield resend


def mail_line(settings: Settings, store: Store) -> MailLine:
    """The database's side of the line to that provider."""
    if settings.resend_api_key is None:
        return store.mail_line("outbox", OUTBOX_RATE)
    return store.mail_line("resend", RESEND_START_RATE)


def sender_of(settings: Settings) -> Sender:
    """Who the mails come from, and where their links lead.

    Raises:
        SettingsError: EMAIL_FROM or APP_BASE_URL cannot be used.
    """
    if settings.resend_api_key is not None and "email_from" not in settings.model_fields_set:
        raise SettingsError(
            "RESEND_API_KEY is set, but EMAIL_FROM is not: set it to an address of a domain that Resend has verified, "
            "like FixionMail <stories@your.domain>."
        )
    return Sender(address=settings.email_from, base_url=settings.app_base_url.get_secret_value().rstrip("/"))
