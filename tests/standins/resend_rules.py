"""Which mail requests Resend takes: its API description plus the rules its documentation states in prose.

Written out by hand because a benchmark pushes thousands of mails a second through it; a contract test holds it
against the API description. Stricter than Resend where Resend is silent: a field it does not describe is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.standins import resend_errors as errors

MAX_BATCH = 100
MAX_RECIPIENTS = 50
MAX_REQUEST_BYTES = 40_000_000

Email = dict[str, Any]

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
_NAMED = re.compile(r"[^\r\n<>]*<([^<>]*)>")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_ADDRESS_FORMAT = (
    "The email address needs to follow the `email@example.com` or `Name <email@example.com>` format."
)


def read_single(body: bytes) -> list[Email]:
    """The one mail of a ``POST /emails``, checked.

    Raises:
        ResendError: Resend would not take it.
    """
    email = _parsed(body)
    if not isinstance(email, dict):
        raise errors.malformed("The request body must be an object.")
    _check(email)
    return [email]


def read_batch(body: bytes) -> list[Email]:
    """The mails of a ``POST /emails/batch``, checked; one that is wrong spoils all (strict mode).

    Raises:
        ResendError: Resend would not take the batch.
    """
    emails = _parsed(body)
    if not isinstance(emails, list) or not 1 <= len(emails) <= MAX_BATCH:
        raise errors.malformed(f"The request body must be an array of 1 to {MAX_BATCH} emails.")
    for email in emails:
        if not isinstance(email, dict):
            raise errors.malformed("Each email must be an object.")
        for name in ("attachments", "scheduled_at"):
            if name in email:
                raise errors.invalid(f"The `{name}` field is not supported in batch requests.")
        _check(email)
    return emails


def recipients(email: Email) -> list[str]:
    """The bare addresses in ``to``, ``cc`` and ``bcc``: each counts as one mail towards quotas."""
    return [_bare(text) for name in ("to", "cc", "bcc") for text in _listed(email.get(name, []))]


def sender_domain(email: Email) -> str:
    """The domain in ``from``, in lower case."""
    return _bare(email["from"]).rpartition("@")[2].lower()


def _parsed(body: bytes) -> Any:
    if len(body) > MAX_REQUEST_BYTES:
        raise errors.invalid("The request is larger than 40 MB.")
    try:
        return json.loads(body)
    except ValueError:
        raise errors.malformed("The request body is not valid JSON.") from None


def _check(email: Email) -> None:
    for name in ("from", "to", "subject"):
        if name not in email:
            raise errors.missing_field(name)
    if not email.get("html") and not email.get("text") and "template" not in email:
        raise errors.missing_field("html` or `text")
    for name, value in email.items():
        check = _CHECKS.get(name)
        if check is None:
            raise errors.invalid(f"The `{name}` field is not allowed.")
        check(name, value)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise errors.invalid(f"The `{name}` field must be a `string`.")


def _check_subject(name: str, value: object) -> None:
    _check_text(name, value)
    if "\n" in str(value) or "\r" in str(value):
        raise errors.invalid("The `\\n` is not allowed in the `subject` field.")


def _check_address(name: str, value: object) -> None:
    if not isinstance(value, str) or not _is_address(value):
        raise errors.invalid(f"Invalid `{name}` field. {_ADDRESS_FORMAT}")


def _check_addresses(name: str, value: object) -> None:
    listed = _listed(value)
    if not 1 <= len(listed) <= MAX_RECIPIENTS:
        raise errors.invalid(f"The `{name}` field must hold 1 to {MAX_RECIPIENTS} addresses.")
    for address in listed:
        _check_address(name, address)


def _check_headers(name: str, value: object) -> None:
    if not isinstance(value, dict):
        raise errors.invalid(f"The `{name}` field must be an `object`.")
    for header, text in value.items():
        if not _HEADER_NAME.fullmatch(header) or not isinstance(text, str) or "\n" in text or "\r" in text:
            raise errors.invalid(f"The `{name}` field holds an invalid header: {header!r}.")


def _check_tags(name: str, value: object) -> None:
    if not isinstance(value, list):
        raise errors.invalid(f"The `{name}` field must be an `array`.")
    for tag in value:
        if not isinstance(tag, dict) or tag.keys() != {"name", "value"}:
            raise errors.invalid("Each tag needs a `name` and a `value`.")
        for text in tag.values():
            if not isinstance(text, str) or not _TAG.fullmatch(text):
                raise errors.invalid(
                    "Tags should only contain ASCII letters, numbers, underscores, or dashes."
                )


def _check_elsewhere(name: str, value: object) -> None:
    """Fields of the API description that this project does not use, and whose rules are not copied here."""
    raise errors.invalid(f"The stand-in does not serve the `{name}` field.")


_CHECKS: Mapping[str, Callable[[str, object], None]] = {
    "from": _check_address,
    "to": _check_addresses,
    "cc": _check_addresses,
    "bcc": _check_addresses,
    "reply_to": _check_addresses,
    "subject": _check_subject,
    "html": _check_text,
    "text": _check_text,
    "headers": _check_headers,
    "tags": _check_tags,
    "template": _check_elsewhere,
    "attachments": _check_elsewhere,
    "scheduled_at": _check_elsewhere,
    "topic_id": _check_elsewhere,
}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_address(text: str) -> bool:
    bare = _bare(text)
    return len(bare) <= 254 and _ADDRESS.fullmatch(bare) is not None


def _bare(text: str) -> str:
    named = _NAMED.fullmatch(text)
    return named[1] if named else text
