"""What sends mail, seen from the rest of FixionMail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fixionmail.models.mail import MailAnswer


class Mailer(Protocol):
    """A mail provider that remembers idempotency keys."""

    name: str
    """How the provider is called in the database and on every surface."""

    def send(
        self, *, key: str, body: bytes, count: int, on_line: Callable[[], None] = lambda: None
    ) -> MailAnswer:
        """Hand over one request. Never raises for what the provider or the network does: that is an answer.

        Args:
            key: idempotency key; the same key with the same body sends nothing a second time.
            body: the exact bytes of the request, as ``render.request_body`` makes them.
            count: how many mails are in it.
            on_line: called when everything is ready and nothing has been written; what it raises is raised, and
                nothing is sent. What has no limit to keep need not call it.
        """
        ...
