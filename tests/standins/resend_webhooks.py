"""Webhooks as Resend posts them: signed by Svix's scheme, and late, twice or out of order when asked to.

Signature: https://github.com/standard-webhooks/standard-webhooks - base64 of HMAC-SHA256 over ``id.timestamp.body``.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import json
import random
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.standins.clock import Clock
from tests.standins.resend_ledger import Mail

_MAX_ATTEMPTS = 8
_EXTRA: Mapping[str, Mapping[str, Any]] = {
    "email.bounced": {
        "bounce": {
            "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
            "message": "The recipient's email address does not exist.",
            "subType": "General",
            "type": "Permanent",
        }
    },
    "email.failed": {"failed": {"reason": "reached_daily_quota"}},
}


def new_secret() -> str:
    """A signing secret as Svix hands it out."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The ``svix-signature`` header of a message."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def event_body(kind: str, mail: Mail, at: float) -> bytes:
    """An event about ``mail`` as JSON; ``kind`` is a Resend event type such as ``email.delivered``."""
    data: dict[str, Any] = {
        "email_id": mail.id,
        "created_at": _iso(mail.at),
        "from": mail.sender,
        "to": mail.to,
        "subject": mail.subject,
        "tags": dict(mail.tags),
        "headers": [{"name": name, "value": value} for name, value in mail.headers.items()],
        **_EXTRA.get(kind, {}),
    }
    return json.dumps({"type": kind, "created_at": _iso(at), "data": data}).encode()


@dataclass(kw_only=True)
class WebhookPlan:
    """How webhooks travel. Rates are probabilities from 0 to 1.

    Args:
        url: where they are posted; None: nowhere.
        host: the host they are posted for; None: that of the URL.
        delay: seconds from the event to its first post, at least and at most.
        twice: how often an event is posted a second time, with the same message id.
    """

    url: str | None = None
    host: str | None = None
    delay: tuple[float, float] = (0.0, 0.0)
    twice: float = 0.0


@dataclass(order=True, kw_only=True)
class _Post:
    due: float
    number: int
    id: str = field(compare=False)
    body: bytes = field(compare=False)
    attempt: int = field(compare=False, default=1)


class Webhooks:
    """Posts events from a thread of its own; retries what is not answered 2xx, like Svix.

    Unequal delays put events out of order. Due times follow the stand-in's clock.
    """

    def __init__(self, secret: str, plan: WebhookPlan, clock: Clock, *, seed: int | None = None) -> None:
        self.secret = secret
        self.plan = plan
        self._clock = clock
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._posts: list[_Post] = []
        self._posting = False
        self._stopping = False
        self._number = 0
        self.delivered = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def emit(self, kind: str, mail: Mail) -> None:
        """Post an event about ``mail`` after the planned delay."""
        if self.plan.url is None:
            return
        now = self._clock.now()
        body = event_body(kind, mail, now)
        message_id = "msg_" + secrets.token_hex(12)
        with self._changed:
            copies = 2 if self._random.random() < self.plan.twice else 1
            for _ in range(copies):
                self._push(now + self._random.uniform(*self.plan.delay), message_id, body, 1)
            self._changed.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Whether everything due by now has been posted within ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._posting and not self._posts, timeout=seconds)

    def close(self) -> None:
        """Stop posting; what is not due yet is dropped."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _push(self, due: float, message_id: str, body: bytes, attempt: int) -> None:
        self._number += 1
        heapq.heappush(
            self._posts, _Post(due=due, number=self._number, id=message_id, body=body, attempt=attempt)
        )

    def _run(self) -> None:
        with httpx.Client(timeout=10, verify=False) as client:  # plain HTTP only: no certificates to load
            while (post := self._next()) is not None:
                accepted = self._post(client, post)
                with self._changed:
                    self._posting = False
                    if accepted:
                        self.delivered += 1
                    elif post.attempt < _MAX_ATTEMPTS:
                        self._push(
                            self._clock.now() + 0.2 * 2**post.attempt, post.id, post.body, post.attempt + 1
                        )
                    self._changed.notify_all()

    def _next(self) -> _Post | None:
        with self._changed:
            while not self._stopping:
                wait = self._posts[0].due - self._clock.now() if self._posts else None
                if wait is not None and wait <= 0:
                    self._posting = True
                    return heapq.heappop(self._posts)
                # The clock may be put forward meanwhile, so a long wait is looked at again now and then.
                self._changed.wait(None if wait is None else min(wait, 0.05))
            return None

    def _post(self, client: httpx.Client, post: _Post) -> bool:
        timestamp = int(self._clock.now())
        headers = {
            "content-type": "application/json",
            "svix-id": post.id,
            "svix-timestamp": str(timestamp),
            "svix-signature": signature(self.secret, post.id, timestamp, post.body),
            **({"host": self.plan.host} if self.plan.host else {}),
        }
        try:
            return client.post(str(self.plan.url), content=post.body, headers=headers).is_success
        except httpx.TransportError:
            return False


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
