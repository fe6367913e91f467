"""A message as RFC 5322 text with MIME parts, ready for a file; much faster than the standard library's generator."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import format_datetime

from fixionmail.mail.addresses import quoted_name, split_sender

_ENCODED_BYTES = 39
"""UTF-8 bytes in one encoded word: with ``Subject: `` before it a line stays within 76 (RFC 2047, section 2)."""
_LONGEST_LINE = 998
"""Bytes in a line, also of 8bit content (RFC 5322, 2.1.1; RFC 2045, 2.8)."""
_PLAIN = re.compile(r"[ -~]*")


def message_text(
    *,
    message_id: str,
    sender: str,
    recipients: list[str],
    subject: str,
    sent_at: datetime,
    headers: Mapping[str, str],
    text: str,
    html: str,
) -> bytes:
    """The whole message with CRLF line ends: text first, HTML as the alternative that is preferred.

    Args:
        message_id: unique, ASCII letters, digits and dashes.
        sender: as ``addresses.check_sender`` gives it.
        recipients: bare addresses.
        sent_at: with its zone.
    """
    name, address = split_sender(sender)
    boundary = f"part_{message_id}"
    while boundary in text or boundary in html:
        boundary += "_"
    fields = {
        "Date": format_datetime(sent_at),
        "Message-ID": f"<{message_id}@{address.rpartition('@')[2]}>",
        "From": _mailbox(name, address),
        "To": ", ".join(recipients),
        "Subject": _unstructured(subject),
        **{field: _unstructured(value) for field, value in headers.items()},
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="{boundary}"',
    }
    head = "".join(f"{field}: {value}\r\n" for field, value in fields.items())
    parts = b"".join(
        f"--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n".encode() + _content(part) + b"\r\n"
        for kind, part in (("plain", text), ("html", html))
    )
    return head.encode() + b"\r\n" + parts + f"--{boundary}--\r\n".encode()


def _content(part: str) -> bytes:
    """Encoding, blank line and content of a part: as it is while its lines are not too long, which reads best."""
    content = part.encode()
    encoding = b"8bit"
    if max(map(len, content.split(b"\n"))) > _LONGEST_LINE:
        encoding, content = b"quoted-printable", b2a_qp(content, istext=True)
    return b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + content.replace(b"\n", b"\r\n")


def _mailbox(name: str, address: str) -> str:
    if not name:
        return address
    return f"{quoted_name(name)} <{address}>" if _is_plain(name) else f"{_encoded(name)}\r\n <{address}>"


def _unstructured(value: str) -> str:
    """A header's text, encoded (RFC 2047) when it is not plain ASCII."""
    return value if _is_plain(value) else _encoded(value)


def _is_plain(value: str) -> bool:
    return "=?" not in value and _PLAIN.fullmatch(value) is not None


def _encoded(value: str) -> str:
    words = (f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in _chunks(value))
    return "\r\n ".join(words)


def _chunks(value: str) -> Iterator[bytes]:
    """UTF-8 in pieces that fit an encoded word, never parting a character (RFC 2047, section 5)."""
    chunk = b""
    for character in value:
        encoded = character.encode()
        if len(chunk) + len(encoded) > _ENCODED_BYTES:
            yield chunk
            chunk = b""
        chunk += encoded
    yield chunk
