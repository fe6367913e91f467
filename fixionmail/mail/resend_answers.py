"""What Resend's answer to a mail request means. Source: https://resend.com/docs/api-reference/errors.

A refusal counts as definite only in Resend's own words, ``{"statusCode", "name", "message"}``: a page from something
in between proves nothing about the mail, and treating it as definite could send it twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fixionmail.models.mail import MailAnswer, Outcome

QUOTA_PROBE_SECONDS = 3600.0
"""How long to hold the line on a used-up quota when Resend names no time: it does not document when it resets."""

_LONGEST_WAIT_SECONDS = 24 * 3600.0
_LONGEST_ERROR = 300
_BY_NAME = {
    "invalid_idempotent_request": Outcome.KEY_CONFLICT,
    "concurrent_idempotent_requests": Outcome.CONCURRENT,
    "rate_limit_exceeded": Outcome.RATE_LIMITED,
    "daily_quota_exceeded": Outcome.QUOTA,
    "monthly_quota_exceeded": Outcome.QUOTA,
}
_DEFINITE_REFUSALS = (400, 413, 422, 451)
_OURS_TO_MEND = (301, 302, 307, 308, 401, 402, 403, 404, 405)
"""Key, plan or RESEND_API_URL is wrong: no mail is at fault, and none will go out until then."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An error in Resend's own words; name and message are empty when the body was something else."""

    status: int
    name: str
    message: str

    def __str__(self) -> str:
        if not self.name:
            return f"The address of Resend answered {self.status}, and not in Resend's own words."
        text = f"Resend answered {self.status} {self.name}: {self.message}"
        return " ".join(text.split())[:_LONGEST_ERROR]


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, count: int) -> MailAnswer:
    """What an answer that arrived whole says about the ``count`` mails of its request."""
    if status == 200:
        return _read_success(headers, body, count)
    refusal = read_refusal(status, body)
    outcome = _outcome(refusal)
    return MailAnswer(
        outcome=outcome,
        status=status,
        error=str(refusal),
        wait_seconds=_wait_seconds(outcome, headers),
        rate_limit=read_rate_limit(headers),
    )


def read_refusal(status: int, body: bytes) -> Refusal:
    """The error in a body, as far as it is Resend's."""
    fields = _read_object(body)
    name, message = fields.get("name"), fields.get("message")
    if not isinstance(name, str) or not isinstance(message, str):
        return Refusal(status=status, name="", message="")
    return Refusal(status=status, name=name, message=message)


def read_rate_limit(headers: Mapping[str, str]) -> float | None:
    """Requests a second allowed, from ``ratelimit-limit``; a window other than a second (``w=60``) is divided out."""
    found = re.match(r"\s*(\d+)(?:.*?\bw=(\d+))?", headers.get("ratelimit-limit", ""))
    if found is None:
        return None
    return int(found[1]) / max(1, int(found[2] or 1)) or None


def _read_success(headers: Mapping[str, str], body: bytes, count: int) -> MailAnswer:
    ids = _read_ids(body)
    wrong = len(ids) != count or len(set(ids)) != count
    return MailAnswer(
        outcome=Outcome.AMBIGUOUS if wrong else Outcome.ACCEPTED,
        ids=() if wrong else ids,
        status=200,
        error=f"Resend answered 200 with {len(set(ids))} ids for {count} mails." if wrong else "",
        rate_limit=read_rate_limit(headers),
    )


def _read_ids(body: bytes) -> tuple[str, ...]:
    fields = _read_object(body)
    listed = fields.get("data", [fields])
    if not isinstance(listed, list):
        return ()
    ids = [item.get("id") for item in listed if isinstance(item, dict)]
    return tuple(email_id for email_id in ids if isinstance(email_id, str) and email_id)


def _read_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _outcome(refusal: Refusal) -> Outcome:
    if refusal.name in _BY_NAME:
        return _BY_NAME[refusal.name]
    if refusal.status == 429:
        return Outcome.RATE_LIMITED
    if refusal.status == 403 and refusal.name == "validation_error":
        return Outcome.SENDER_REFUSED
    if refusal.status in _OURS_TO_MEND:
        return Outcome.UNAUTHORIZED
    if refusal.status in _DEFINITE_REFUSALS and refusal.name:
        return Outcome.REFUSED
    return Outcome.AMBIGUOUS


def _wait_seconds(outcome: Outcome, headers: Mapping[str, str]) -> float | None:
    asked = _seconds(headers.get("retry-after"))
    if asked is None and outcome is Outcome.RATE_LIMITED:
        asked = _seconds(headers.get("ratelimit-reset")) or 1.0
    if asked is None and outcome is Outcome.QUOTA:
        asked = QUOTA_PROBE_SECONDS
    return asked


def _seconds(value: str | None) -> float | None:
    """A ``retry-after`` value: seconds, or the date to wait for (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        seconds = float(value)
    else:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), _LONGEST_WAIT_SECONDS)
