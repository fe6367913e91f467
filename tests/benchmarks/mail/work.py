"""The work of one mail as a message of its own, for the queues we are measured beside: all of it is the product's."""

from __future__ import annotations

import os
from functools import cache
from uuid import uuid4

from uuid_utils.compat import uuid7

from fixionmail.mail.choice import mail_line, sender_of
from fixionmail.mail.resend import Resend
from fixionmail.mail.send import LEASE_SECONDS, Post, Round
from fixionmail.settings import Settings, load_settings
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport


class SingleMailPost(Post):
    """Sends one mail and no more."""

    def send_one(self) -> int:
        """How many mails were accepted: 1, or 0 when nothing is due."""
        result = Round()
        opened = self.line.open(batch_id=uuid7(), holder=self.holder, lease_seconds=LEASE_SECONDS, max_size=1)
        self._take(opened, result, 60.0)
        return result.accepted


@cache
def _settings() -> Settings:
    return load_settings()


@cache
def _store() -> Store:
    return Store.over(DirectTransport(os.environ["DATABASE_URL"], 8))


@cache
def _mailer() -> Resend:
    key = _settings().resend_api_key
    assert key is not None
    return Resend(api_key=key.get_secret_value(), url=_settings().resend_api_url.get_secret_value())


def send_one(number: int) -> None:
    """One due mail, whichever is next."""
    post = SingleMailPost(
        line=mail_line(_settings(), _store()),
        mailer=_mailer(),
        sender=sender_of(_settings()),
        holder=f"bench/{uuid4().hex}",
    )
    post.send_one()
