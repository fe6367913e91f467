"""A strict stand-in for Resend: https://resend.com/docs/api-reference, as far as FixionMail uses it.

Serves ``POST /emails``, ``POST /emails/batch``, ``GET /emails``, ``GET /emails/{id}`` and ``GET /domains``: keys that
are kept 24 hours, rate limit and quotas with their headers, validation, refusals, faults and webhooks. Its ledger
says what was really sent.

Started by hand, it prints one line of JSON with its URL, key and webhook secret::

    python -m tests.standins.resend --domain example.com --rate-limit 10
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tests.standins import control, resend_control, resend_rules
from tests.standins import resend_errors as errors
from tests.standins.clock import Clock
from tests.standins.faults import Fault, FaultPlan, FaultRule
from tests.standins.resend_errors import ResendError
from tests.standins.resend_idempotency import IdempotencyKeys
from tests.standins.resend_ledger import Ledger, Mail
from tests.standins.resend_limits import Quotas, RateLimit
from tests.standins.resend_rules import Email
from tests.standins.resend_webhooks import WebhookPlan, Webhooks, new_secret
from tests.standins.server import ConnectionCutError, HttpServer, Reply, Request, json_reply, wait_for_signal

_USUAL_FATE = ("email.sent", "email.delivered")


class ResendStandIn:
    """A running stand-in; a context manager that stops it.

    Attributes may be changed while it runs: ``api_key``, ``rate.limit``, ``quotas.daily``, ``webhooks.plan``.

    Args:
        api_key: the key with full access.
        sending_key: a key that may only send.
        domains: those verified for sending.
        rate_limit: requests in any one second; None: no limit.
        daily_quota: mails a UTC day; None: no limit.
        monthly_quota: mails a UTC month; None: no limit.
        ledger_file: where every mail accepted is appended as one line of JSON.
        keep_bodies: whether the ledger keeps HTML and text.
        webhooks: how events travel.
        webhook_secret: what they are signed with; None: a new one.
        seed: for everything random.
        port: TCP port; 0 picks a free one.
        host: where it listens.
    """

    def __init__(
        self,
        *,
        api_key: str = "re_standin_full_access",
        sending_key: str = "re_standin_sending_only",
        domains: Iterable[str] = ("example.com",),
        rate_limit: int | None = None,
        daily_quota: int | None = None,
        monthly_quota: int | None = None,
        ledger_file: Path | None = None,
        keep_bodies: bool = False,
        webhooks: WebhookPlan | None = None,
        webhook_secret: str | None = None,
        seed: int | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.api_key = api_key
        self.sending_key = sending_key
        self.domains = [domain.lower() for domain in domains]
        self.clock = Clock()
        self.faults = FaultPlan(seed=seed)
        self.rate = RateLimit(rate_limit, self.clock)
        self.quotas = Quotas(daily_quota, monthly_quota, self.clock)
        self.ledger = Ledger(ledger_file)
        self.webhooks = Webhooks(
            webhook_secret or new_secret(), webhooks or WebhookPlan(), self.clock, seed=seed
        )
        self.answers: Counter[str] = Counter()
        self._keep_bodies = keep_bodies
        self._keys = IdempotencyKeys(self.clock)
        self._refused: set[str] = set()
        self._fates: dict[str, tuple[str, ...]] = {}
        self._arrivals: list[float] = []
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._server = HttpServer(self._answer, port=port, host=host)

    @property
    def url(self) -> str:
        """What RESEND_API_URL is set to."""
        return self._server.url

    @property
    def connections_accepted(self) -> int:
        """How many TCP connections clients have made so far."""
        return self._server.accepted

    def refuse(self, *addresses: str) -> None:
        """From now on a request with one of these recipients is refused whole (422)."""
        self._refused.update(address.lower() for address in addresses)

    def set_fate(self, address: str, events: Sequence[str]) -> None:
        """The webhook events that mails to ``address`` cause, instead of sent and delivered."""
        self._fates[address.lower()] = tuple(events)

    @property
    def requests(self) -> int:
        """How many API requests have arrived so far, whatever became of them."""
        with self._lock:
            return len(self._arrivals)

    def arrivals(self) -> list[float]:
        """When each API request has arrived, in Unix seconds, earliest first."""
        with self._lock:
            return sorted(self._arrivals)

    def busiest_second(self) -> int:
        """The most API requests that arrived in any one second, those answered 429 included."""
        times = self.arrivals()
        most = first = 0
        for last, at in enumerate(times):
            while times[first] <= at - 1:
                first += 1
            most = max(most, last - first + 1)
        return most

    def emit(self, kind: str, mail: Mail) -> None:
        """Let an event happen to ``mail`` and post its webhook."""
        mail.last_event = kind.removeprefix("email.")
        self.webhooks.emit(kind, mail)

    def close(self) -> None:
        """Stop serving and posting webhooks."""
        self._stopping.set()
        self._server.close()
        self.webhooks.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Reply:
        if request.path.startswith(control.PREFIX):
            return resend_control.answer(self, request)
        with self._lock:
            self._arrivals.append(self.clock.at(request.arrived))
        rule = self.faults.take(f"{request.method} {request.path}")
        match rule.fault if rule else None:
            case Fault.LOST_REQUEST:
                raise ConnectionCutError
            case Fault.BAD_STATUS:
                return _outage(rule)
        reply = self._serve(request, rule)
        with self._lock:
            self.answers[str(reply.status)] += 1
        return self._spoil(reply, rule)

    def _spoil(self, reply: Reply, rule: FaultRule | None) -> Reply:
        match rule.fault if rule else None:
            case Fault.LOST_REPLY:
                raise ConnectionCutError
            case Fault.BAD_STATUS_AFTER:
                return _outage(rule)
            case Fault.SLOW_REPLY if rule:
                self._stopping.wait(rule.seconds)
            case Fault.TRUNCATED_REPLY:
                cut = len(reply.body) // 2
                return Reply(status=reply.status, body=reply.body, headers=reply.headers, sent_bytes=cut)
            case Fault.WRONG_COUNT if reply.status == 200:
                return _one_id_short(reply)
        return reply

    def _serve(self, request: Request, rule: FaultRule | None) -> Reply:
        headers: dict[str, str] = {}
        try:
            self._authorize(request)
            headers |= self.rate.admit(self.clock.at(request.arrived))
            body = self._route(request, rule)
        except ResendError as error:
            return json_reply(error.status, error.body(), self._headers(headers | dict(error.headers)))
        return Reply(status=200, body=body, headers=self._headers(headers))

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {"content-type": "application/json; charset=utf-8"} | headers | self.quotas.headers()

    def _authorize(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise errors.missing_api_key()
        if key == self.sending_key and (request.method, request.path) not in self._senders():
            raise errors.restricted_api_key()
        if key not in (self.api_key, self.sending_key):
            raise errors.invalid_api_key()

    def _senders(self) -> dict[tuple[str, str], Callable[[bytes], list[Email]]]:
        return {
            ("POST", "/emails"): resend_rules.read_single,
            ("POST", "/emails/batch"): resend_rules.read_batch,
        }

    def _route(self, request: Request, rule: FaultRule | None) -> bytes:
        read = self._senders().get((request.method, request.path))
        if read is not None:
            return self._send(request, read, rule)
        if request.path not in ("/emails", "/domains") and not request.path.startswith("/emails/"):
            raise errors.not_found("The requested endpoint was")
        if request.method != "GET":
            raise errors.method_not_allowed()
        if rule is not None and rule.fault is Fault.SLOW_REQUEST:
            self._stopping.wait(rule.seconds)
        match request.path:
            case "/emails":
                return _json(self._list(request))
            case "/domains":
                return _json(self._list_domains())
        mail = self.ledger.get(request.path.removeprefix("/emails/"))
        if mail is None:
            raise errors.not_found("Email")
        return _json({"object": "email", **_shown(mail), "html": mail.html or "", "text": mail.text or ""})

    def _send(self, request: Request, read: Callable[[bytes], list[Email]], rule: FaultRule | None) -> bytes:
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._send_now(request, read, rule, "")
        digest = hashlib.sha256(request.path.encode() + b"\0" + request.body).digest()
        with self._keys.first_use(key, digest) as entry:
            if entry.answer is None:
                entry.answer = self._send_now(request, read, rule, key)
            return entry.answer

    def _send_now(
        self, request: Request, read: Callable[[bytes], list[Email]], rule: FaultRule | None, key: str
    ) -> bytes:
        if rule is not None and rule.fault is Fault.SLOW_REQUEST:
            self._stopping.wait(rule.seconds)
        emails = read(request.body)
        sent = sum(self._checked_recipients(email) for email in emails)
        self.quotas.spend(sent)
        mails = [self._mail(email, key) for email in emails]
        self.ledger.record(mails)
        for mail in mails:
            for kind in self._fates.get(mail.to[0].lower(), _USUAL_FATE):
                self.emit(kind, mail)
        ids = [{"id": mail.id} for mail in mails]
        return _json(ids[0] if request.path == "/emails" else {"data": ids})

    def _checked_recipients(self, email: Email) -> int:
        domain = resend_rules.sender_domain(email)
        if domain not in self.domains:
            raise errors.domain_not_verified(domain)
        addresses = resend_rules.recipients(email)
        for address in addresses:
            if address.lower() in self._refused:
                raise errors.invalid(f"Invalid `to` field. The address {address} is not deliverable.")
        return len(addresses)

    def _mail(self, email: Email, key: str) -> Mail:
        return Mail(
            id=str(uuid.uuid4()),
            at=self.clock.now(),
            key=key,
            to=resend_rules.recipients(email),
            sender=email["from"],
            subject=email["subject"],
            tags={tag["name"]: tag["value"] for tag in email.get("tags", [])},
            headers=email.get("headers", {}),
            html=email.get("html") if self._keep_bodies else None,
            text=email.get("text") if self._keep_bodies else None,
        )

    def _list(self, request: Request) -> dict[str, object]:
        limit = request.query.get("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise errors.malformed("The `limit` must be between 1 and 100.")
        mails = _page_source(self.ledger.mails()[::-1], request)
        page = mails[: int(limit)] if "before" not in request.query else mails[-int(limit) :]
        return {"object": "list", "has_more": len(mails) > len(page), "data": [_shown(m) for m in page]}

    def _list_domains(self) -> dict[str, object]:
        data = [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, domain)),
                "name": domain,
                "status": "verified",
                "created_at": "2026-01-01 00:00:00.000000+00",
                "region": "us-east-1",
            }
            for domain in self.domains
        ]
        return {"object": "list", "has_more": False, "data": data}


def _page_source(newest_first: list[Mail], request: Request) -> list[Mail]:
    cursor = request.query.get("after") or request.query.get("before")
    if cursor is None:
        return newest_first
    places = [place for place, mail in enumerate(newest_first) if mail.id == cursor]
    if not places or ("after" in request.query and "before" in request.query):
        raise errors.malformed("The pagination cursor is invalid.")
    if "after" in request.query:
        return newest_first[places[0] + 1 :]
    return newest_first[: places[0]]


def _shown(mail: Mail) -> dict[str, object]:
    created = datetime.fromtimestamp(mail.at, UTC).isoformat(sep=" ").replace("+00:00", "+00")
    return {
        "id": mail.id,
        "to": mail.to,
        "from": mail.sender,
        "created_at": created,
        "subject": mail.subject,
        "bcc": [],
        "cc": [],
        "reply_to": [],
        "last_event": mail.last_event,
        "tags": [{"name": name, "value": value} for name, value in mail.tags.items()],
    }


def _one_id_short(reply: Reply) -> Reply:
    value = json.loads(reply.body)
    value.get("data", [None]).pop()
    value.pop("id", None)
    return Reply(status=200, body=_json(value), headers=reply.headers)


def _outage(rule: FaultRule | None) -> Reply:
    status = rule.status if rule else 502
    if status == 500:
        body = {"statusCode": 500, "name": "application_error", "message": "An unexpected error occurred."}
        return json_reply(500, body)
    page = f"<html><head><title>{status}</title></head><body><h1>Error {status}</h1></body></html>"
    return Reply(status=status, body=page.encode(), headers={"content-type": "text/html"})


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A strict stand-in for Resend.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--domain", action="append", help="verified for sending; may be repeated")
    parser.add_argument("--rate-limit", type=int, help="requests a second; default: none")
    parser.add_argument("--daily-quota", type=int)
    parser.add_argument("--monthly-quota", type=int)
    parser.add_argument("--ledger", type=Path, help="file to append every accepted mail to")
    parser.add_argument("--webhook-url", help="where events are posted")
    parser.add_argument("--keep-bodies", action="store_true")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    with ResendStandIn(
        domains=options.domain or ["example.com"],
        rate_limit=options.rate_limit,
        daily_quota=options.daily_quota,
        monthly_quota=options.monthly_quota,
        ledger_file=options.ledger,
        keep_bodies=options.keep_bodies,
        webhooks=WebhookPlan(url=options.webhook_url),
        seed=options.seed,
        port=options.port,
    ) as server:
        line = {"url": server.url, "api_key": server.api_key, "webhook_secret": server.webhooks.secret}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        wait_for_signal()


if __name__ == "__main__":
    main()
