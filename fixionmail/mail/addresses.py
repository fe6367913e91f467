"""E-mail addresses: which ones FixionMail stores and sends to, and in which form.

Narrower than RFC 5321 where real mailboxes are: no quoted local parts, no address literals, and no local parts beyond
ASCII (RFC 6531), which most providers, Resend among them, do not take. Domains may be international (RFC 5891).
"""

from __future__ import annotations

import re
import unicodedata

import idna

from fixionmail.errors import InputError, SettingsError

MAX_ADDRESS = 254
"""Characters in an address that can be a mail's envelope recipient (RFC 5321, 4.5.3.1.3, less the angle brackets)."""
MAX_LOCAL_PART = 64
"""Characters before the @ (RFC 5321, 4.5.3.1.1)."""
MAX_NAME = 100
"""Characters in a sender's name; inboxes show a third of it."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_NEEDS_QUOTES = re.compile(r"[()\[\]:;@,.\\\"]")
_SHOWN = 60


def check_address(text: str) -> str:
    """The address to store and to send to: stripped, its domain in lower case and ASCII (punycode).

    Raises:
        InputError: it cannot be a mailbox; the message says why.
    """
    address = text.strip()
    local_part, domain = _parts(address)
    _check_local_part(local_part, address)
    domain = _ascii_domain(domain, address)
    if not _DOMAIN.fullmatch(domain):
        raise _unusable(address, "the part after the @ is not a domain name like example.com")
    return _of_bearable_length(local_part, domain, address)


def check_sender(text: str) -> str:
    """The sender as it goes out, ``Name <a@b.c>`` or bare. A host without a dot will do: the outbox needs no domain.

    Raises:
        SettingsError: EMAIL_FROM cannot be used as it is; the message says why.
    """
    name, address = split_sender(text)
    if not all(character.isprintable() for character in name):
        raise SettingsError("EMAIL_FROM: the name must not hold control characters or line breaks.")
    if len(name) > MAX_NAME:
        raise SettingsError(f"EMAIL_FROM: the name has {len(name)} characters; {MAX_NAME} are allowed.")
    try:
        local_part, domain = _parts(address)
        _check_local_part(local_part, address)
        domain = _ascii_domain(domain, address)
        if not _HOST.fullmatch(domain):
            raise _unusable(address, "the part after the @ is not a domain name like example.com")
        address = _of_bearable_length(local_part, domain, address)
    except InputError as error:
        raise SettingsError(
            f"EMAIL_FROM: {error} It must be like stories@example.com or FixionMail <stories@example.com>."
        ) from None
    return f"{quoted_name(name)} <{address}>" if name else address


def split_sender(text: str) -> tuple[str, str]:
    """Name and address of ``Name <a@b.c>``, ``"Name" <a@b.c>`` or a bare address, whose name is empty."""
    found = _NAMED.fullmatch(text.strip())
    if not found:
        return "", text.strip()
    name = found["name"].strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return name, found["address"].strip()


def _parts(address: str) -> tuple[str, str]:
    if len(address) > 4 * MAX_ADDRESS:
        raise _unusable(address, f"it has {len(address)} characters; {MAX_ADDRESS} are allowed")
    if not address.isprintable() and any(unicodedata.category(character) == "Cc" for character in address):
        raise _unusable(address, "it holds a control character or a line break")
    if address.count("@") != 1:
        raise _unusable(address, f"it has {address.count('@') or 'no'} @ where one is needed")
    local_part, _, domain = address.partition("@")
    return local_part, domain


def _check_local_part(local_part: str, address: str) -> None:
    if not local_part:
        raise _unusable(address, "nothing stands before the @")
    if not local_part.isascii():
        raise _unusable(
            address, "the part before the @ has characters beyond ASCII, which mail providers refuse"
        )
    if len(local_part) > MAX_LOCAL_PART:
        raise _unusable(
            address, f"the part before the @ has {len(local_part)} characters; {MAX_LOCAL_PART} are allowed"
        )
    if not _LOCAL_PART.fullmatch(local_part):
        raise _unusable(
            address, "the part before the @ has a space, a stray dot or a character that is not allowed there"
        )


def _ascii_domain(domain: str, address: str) -> str:
    lowered = domain.lower()
    if lowered.isascii() and "xn--" not in lowered:
        return lowered
    try:
        return idna.encode(lowered, uts46=True).decode("ascii").lower()
    except UnicodeError:  # idna.IDNAError is one
        raise _unusable(address, "the part after the @ is not a valid international domain name") from None


def _of_bearable_length(local_part: str, domain: str, address: str) -> str:
    checked = f"{local_part}@{domain}"
    if len(checked) > MAX_ADDRESS:
        raise _unusable(address, f"it has {len(checked)} characters; {MAX_ADDRESS} are allowed")
    return checked


def quoted_name(name: str) -> str:
    if not _NEEDS_QUOTES.search(name):
        return name
    escaped = re.sub(r'([\\"])', r"\\\1", name)
    return f'"{escaped}"'


def _unusable(address: str, reason: str) -> InputError:
    shown = address if len(address) <= _SHOWN else address[:_SHOWN] + "…"
    return InputError(f"{shown!r} is not an address that mail can be sent to: {reason}.")
