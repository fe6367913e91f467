"""What reaches us from outside: the mail provider's events, and readers who unsubscribe by the link in a mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from fixionmail.models.mail import ProviderEvent
from fixionmail.store.transport import Caller


@dataclass(frozen=True)
class Incoming:
    """Database functions of ``017_incoming.sql`` and ``019_reconcile.sql``."""

    _call: Caller

    def record_event(self, event: ProviderEvent) -> str:
        """Take in one event: ``ok``, ``already``, or ``unknown`` when it is about no mail of ours."""
        row = self._call(
            "record_event_v1",
            event=event.message_id,
            kind=event.kind,
            provider_id=event.provider_id,
            delivery=event.delivery_id,
            happened_at=event.happened_at,
            detail=event.detail,
            suppress=event.suppresses,
        )
        return str(row["verdict"])

    def reconcile_mail(
        self,
        *,
        provider_id: str,
        delivery_id: UUID | None,
        event: str,
        address: str,
        local_date: date,
        sent_at: datetime,
        by: str,
        host: str,
    ) -> str:
        """Take in a mail that was sent and that a restored database may not know of.

        Returns:
            ``ok``, ``already``, or ``unknown`` when it is to nobody we know.
        """
        row = self._call(
            "reconcile_mail_v1",
            provider_id=provider_id,
            delivery=delivery_id,
            event=event,
            address=address,
            local_date=local_date,
            sent_at=sent_at,
            by=by,
            host=host,
        )
        return str(row["verdict"])

    def subscriber_status(self, token: str) -> str | None:
        """The status of the subscriber whose mails carry this token; None when there is none."""
        row = self._call("unsubscribe_status_v1", token=token)
        return str(row["status"]) if row else None

    def unsubscribe(self, token: str) -> str:
        """Stop that subscriber's mail: ``ok``, ``already`` or ``unknown``."""
        return str(self._call("unsubscribe_v1", token=token)["verdict"])
