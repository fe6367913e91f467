"""Resend's API over HTTP/1.1: sending, and reading back what was sent (https://resend.com/docs/api-reference)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import httpx

from fixionmail import deadline
from fixionmail.errors import MailError, UnreachableError
from fixionmail.mail.resend_answers import read_answer, read_refusal
from fixionmail.models.mail import MailAnswer, Outcome

MAX_PAGE = 100
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, kw_only=True)
class SentMail:
    """A mail as Resend remembers it. ``last_event`` is its word for the state: sent, delivered, bounced, ..."""

    id: str
    to: tuple[str, ...]
    subject: str
    created_at: datetime
    last_event: str
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class SentPage:
    """Mails from newest to oldest. ``next_after`` is the cursor for the page behind, None on the last one."""

    mails: tuple[SentMail, ...]
    next_after: str | None


@dataclass(frozen=True, kw_only=True)
class SendingDomain:
    """A domain of the account. Mail goes out only from one whose ``status`` is ``verified``."""

    name: str
    status: str


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Resend:
    """One client for the whole process: safe to use from many threads, connections are reused.

    Args:
        api_key: never repeated in an error.
        url: of the API.
        connect_timeout: seconds to open a connection.
        read_timeout: seconds between two pieces of an answer, and to hand over the request.
        total_timeout: seconds for a request in all, or less when the work's deadline is nearer. The lease of a batch
            must be longer.
        max_connections: how many requests may be under way at once.
    """

    name = "resend"

    def __init__(
        self,
        *,
        api_key: str,
        url: str = "https://api.resend.com",
        connect_timeout: float = 5.0,
        read_timeout: float = 20.0,
        total_timeout: float = 40.0,
        max_connections: int = 10,
    ) -> None:
        self._api_key = api_key
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._total_timeout = total_timeout
        self._client = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {api_key}", "user-agent": "FixionMail"},
            limits=httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=30.0,
            ),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(
        self, *, key: str, body: bytes, count: int, on_line: Callable[[], None] = lambda: None
    ) -> MailAnswer:
        """Hand over the mails in ``body`` under an idempotency key, once, and say what became of them.

        Args:
            key: 1 to 256 characters; the same key and body never send twice within 24 hours.
            body: JSON as Resend takes it: an object for one mail, an array for up to 100.
            count: how many mails the body holds.
            on_line: see ``mailer.Mailer``: called with the connection open and nothing written.

        Raises:
            DeadlineExceededError: no time was left, so nothing was sent.
        """
        path = "/emails/batch" if body.lstrip()[:1] == b"[" else "/emails"
        headers = {"content-type": "application/json", "idempotency-key": key}
        try:
            got = self._request(
                "POST", path, headers=headers, content=body, extensions={"trace": _on_line(on_line)}
            )
        except _NEVER_SENT as error:
            return self._unknown(f"Resend cannot be reached, nothing was sent: {_reason(error)}")
        except httpx.HTTPError as error:
            return self._unknown(f"Resend's answer was lost, the mail may have gone out: {_reason(error)}")
        answer = read_answer(got.status, got.headers, got.body, count=count)
        return replace(answer, error=self._safe(answer.error))

    def find(self, email_id: str) -> SentMail | None:
        """The mail with this provider id, or None when Resend does not know it.

        Raises:
            MailError: Resend refuses, for instance because the key may only send.
            UnreachableError: Resend does not answer.
        """
        fields = self._read(f"/emails/{quote(email_id, safe='')}", {})
        return None if fields is None else _sent_mail(fields)

    def list_mails(self, *, after: str | None = None, limit: int = MAX_PAGE) -> SentPage:
        """Up to ``limit`` mails, newest first, behind the one with the id ``after``.

        Raises:
            MailError: Resend refuses, for instance because the key may only send.
            UnreachableError: Resend does not answer.
        """
        query = {"limit": str(limit)} | ({} if after is None else {"after": after})
        fields = self._read("/emails", query) or {}
        mails = tuple(_sent_mail(item) for item in fields.get("data", []))
        more = bool(fields.get("has_more")) and bool(mails)
        return SentPage(mails=mails, next_after=mails[-1].id if more else None)

    def domains(self) -> tuple[SendingDomain, ...]:
        """The account's domains.

        Raises:
            MailError: Resend refuses, for instance because the key may only send.
            UnreachableError: Resend does not answer.
        """
        fields = self._read("/domains", {}) or {}
        return tuple(
            SendingDomain(name=item["name"], status=item["status"]) for item in fields.get("data", [])
        )

    def _read(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            got = self._request("GET", path, params=query)
        except httpx.HTTPError as error:
            raise UnreachableError(self._safe(f"Resend does not answer: {_reason(error)}")) from None
        if got.status >= 500:
            raise UnreachableError(f"Resend is out of order: it answered {got.status}.")
        refusal = read_refusal(got.status, got.body)
        if got.status == 404 and refusal.name == "not_found":
            return None
        if got.status != 200:
            raise MailError(self._safe(str(refusal)))
        return _json_object(got.body)

    def _request(self, method: str, path: str, **options: Any) -> _Answer:
        """Make one request and read its answer to the end, within the time there is.

        Raises:
            httpx.HTTPError: there was no whole answer in time.
        """
        seconds = deadline.remaining(self._total_timeout)
        ends_at = time.monotonic() + seconds
        timeout = httpx.Timeout(min(seconds, self._read_timeout), connect=min(seconds, self._connect_timeout))
        with self._client.stream(method, path, timeout=timeout, **options) as response:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if time.monotonic() > ends_at:
                    raise httpx.ReadTimeout(f"no whole answer within {seconds:.0f} s")
            return _Answer(status=response.status_code, headers=response.headers, body=bytes(body))

    def _unknown(self, error: str) -> MailAnswer:
        return MailAnswer(outcome=Outcome.AMBIGUOUS, error=self._safe(error))

    def _safe(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _on_line(call: Callable[[], None]) -> Callable[[str, Mapping[str, Any]], None]:
    """A trace (https://www.encode.io/httpcore/extensions/) that calls right before the request is written."""

    def trace(event: str, details: Mapping[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            call()

    return trace


def _reason(error: httpx.HTTPError) -> str:
    return f"{error or 'no word'} ({type(error).__name__})"


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise MailError(
            "RESEND_API_URL does not lead to Resend: the answer is not the JSON object it documents."
        )
    return value


def _sent_mail(fields: Mapping[str, Any]) -> SentMail:
    return SentMail(
        id=fields["id"],
        to=tuple(fields["to"]),
        subject=fields.get("subject") or "",
        created_at=datetime.fromisoformat(fields["created_at"]),
        last_event=fields.get("last_event") or "",
        tags={tag["name"]: tag["value"] for tag in fields.get("tags") or ()},
    )
