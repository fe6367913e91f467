"""The mail provider's events: who sent them, and what they say.

Resend signs with Svix: https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fixionmail.errors import InputError, SettingsError
from fixionmail.mail.render import DELIVERY_TAG
from fixionmail.models.mail import ProviderEvent

_MOST_DETAIL = 300
_MOST_ID = 255


class ForgedError(Exception):
    """Not signed with our secret, or not in these five minutes."""


class Signatures:
    """Checks who sent an event.

    Args:
        secret: ``whsec_…``

    Raises:
        SettingsError: the secret cannot be one.
    """

    def __init__(self, secret: str) -> None:
        try:
            self._webhook = Webhook(secret)
        except Exception:  # whatever it is, its words may repeat the secret
            raise SettingsError(
                "RESEND_WEBHOOK_SECRET must be the signing secret that Resend shows for the webhook, like whsec_…"
            ) from None

    def check(self, headers: Mapping[str, str], body: bytes) -> str:
        """The message id of an event that was signed with the secret less than five minutes ago.

        Raises:
            ForgedError: it was not.
        """
        names = {
            f"webhook-{name}": headers.get(f"svix-{name}", "") for name in ("id", "timestamp", "signature")
        }
        try:
            self._webhook.verify(body, names, json_parse=False)
        except (WebhookVerificationError, ValueError):
            raise ForgedError from None
        return names["webhook-id"][:_MOST_ID]


def event_of(message_id: str, body: bytes) -> ProviderEvent | None:
    """What a signed message says; None when it is not about a mail.

    Raises:
        InputError: it is not JSON as the provider writes it.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("The body is not JSON.") from None
    if not isinstance(message, dict):
        raise InputError("The body is not a JSON object.")
    kind, data = message.get("type"), message.get("data")
    if not isinstance(kind, str) or not isinstance(data, dict) or not isinstance(data.get("email_id"), str):
        return None
    return ProviderEvent(
        message_id=message_id,
        kind=kind[:_MOST_ID],
        provider_id=data["email_id"][:_MOST_ID],
        delivery_id=_delivery_id(data.get("tags")),
        happened_at=_instant(message.get("created_at")),
        detail=_detail(data),
        suppresses=_suppresses(kind, data),
    )


def _suppresses(kind: str, data: Mapping[str, Any]) -> bool:
    """Complaints, addresses that the provider itself suppresses, and bounces that will not mend."""
    bounce = data.get("bounce")
    permanent = isinstance(bounce, dict) and str(bounce.get("type")).lower() == "permanent"
    return kind in ("email.complained", "email.suppressed") or (kind == "email.bounced" and permanent)


def _delivery_id(tags: object) -> UUID | None:
    """The delivery that the mail's tag names; tags are an object, or a list of name and value."""
    if isinstance(tags, list):
        tags = {str(tag.get("name")): tag.get("value") for tag in tags if isinstance(tag, dict)}
    if not isinstance(tags, dict):
        return None
    try:
        return UUID(str(tags.get(DELIVERY_TAG)))
    except ValueError:
        return None


def _detail(data: Mapping[str, Any]) -> str:
    """The provider's words, in one line."""
    for name in ("bounce", "failed", "suppressed"):
        part = data.get(name)
        if isinstance(part, dict):
            words = " ".join(str(part.get("message") or part.get("reason") or "").split())
            return "".join(character for character in words if character.isprintable())[:_MOST_DETAIL]
    return ""


def _instant(text: object) -> datetime:
    """When it happened; now, when that cannot be read."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.now(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
