"""Looking at deliveries, and what an operator may do with one. See ``012_deliveries.sql`` for the contract of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from fixionmail.models.deliveries import (
    AuditRow,
    Delivery,
    DeliveryChange,
    DeliveryPage,
    DeliveryRecord,
    DeliverySeen,
    DuplicateFinding,
    Membership,
    ReportedEvent,
)
from fixionmail.models.verdict import Verdict
from fixionmail.store.transport import Caller, instant

SEARCHED = 5000
"""How many deliveries of each state, newest due first, a search looks at."""


@dataclass(frozen=True)
class Deliveries:
    """Database functions of ``012_deliveries.sql``, ``031_look_at_deliveries.sql`` and ``034_show_deliveries.sql``.

    Those that change something do so only while the delivery is in ``seen_state``, the state the operator saw.
    ``by``, ``host`` and ``reason`` go into the audit log.
    """

    _call: Caller

    def list(
        self,
        *,
        states: Sequence[str] = (),
        search: str | None = None,
        after: Delivery | None = None,
        limit: int,
        scan: int = SEARCHED,
    ) -> DeliveryPage:
        """A page of deliveries in one of ``states`` (empty: any), newest due first, behind ``after``.

        Args:
            states: names of states.
            search: a part of the address, title, id or provider id, in any case.
            after: the last one of the page before.
            limit: deliveries on the page.
            scan: how many of each state are searched.
        """
        row = self._call(
            "list_deliveries_v1",
            states=list(states) or None,
            search=search,
            before_due_at=after and after.due_at,
            before_id=after and after.delivery_id,
            limit=limit,
            scan=scan,
        )
        return DeliveryPage(
            deliveries=tuple(_delivery(item) for item in row["deliveries"]), bounded=row["bounded"]
        )

    def upcoming(self, *, after: Delivery | None = None, limit: int) -> tuple[Delivery, ...]:
        """A page of those that wait, soonest due first, behind ``after``, the last one of the page before."""
        rows = self._call(
            "upcoming_deliveries_v1",
            after_due_at=after and after.due_at,
            after_id=after and after.delivery_id,
            limit=limit,
        )
        return tuple(map(_delivery, rows))

    def look(self, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliverySeen]:
        """Those of these deliveries that there are, as they are now."""
        rows = self._call("look_at_deliveries_v1", deliveries=[*delivery_ids])
        return {
            UUID(row["delivery_id"]): DeliverySeen(delivery=_delivery(row), maybe_out=row["maybe_out"])
            for row in rows
        }

    def show(self, delivery_id: UUID) -> DeliveryRecord | None:
        """All that is known about one delivery, with the last 100 entries on record and as many events of the provider;
        None when there is none."""
        row = self._call("show_delivery_v2", delivery=delivery_id)
        return _record(row) if row else None

    def retry(self, delivery_id: UUID, *, seen_state: str, by: str, host: str, reason: str) -> DeliveryChange:
        """Send what was surely not received again under a new key: due now, for six hours."""
        return self._change("retry_delivery_v1", delivery_id, seen_state, by, host, reason)

    def cancel(
        self, delivery_id: UUID, *, seen_state: str, by: str, host: str, reason: str
    ) -> DeliveryChange:
        """Keep back what waits, or is in a batch whose key was never used."""
        return self._change("cancel_delivery_v1", delivery_id, seen_state, by, host, reason)

    def resolve_sent(
        self,
        delivery_id: UUID,
        *,
        seen_state: str,
        provider_id: str,
        sent_at: datetime | None,
        evidence: Mapping[str, Any],
        by: str,
        host: str,
        reason: str,
    ) -> DeliveryChange:
        """An uncertain delivery went out, as the provider's ``provider_id``; ``sent_at`` None: at the first attempt."""
        verdict = {"sent": True, "provider_id": provider_id, "sent_at": sent_at, "evidence": evidence}
        return self._change("resolve_delivery_v1", delivery_id, seen_state, by, host, reason, **verdict)

    def resolve_not_sent(
        self,
        delivery_id: UUID,
        *,
        seen_state: str,
        evidence: Mapping[str, Any],
        by: str,
        host: str,
        reason: str,
    ) -> DeliveryChange:
        """An uncertain delivery did not go out: it is missed, and may be retried."""
        verdict = {"sent": False, "provider_id": None, "sent_at": None, "evidence": evidence}
        return self._change("resolve_delivery_v1", delivery_id, seen_state, by, host, reason, **verdict)

    def duplicates(self, *, since: date, limit: int = 100, scan: bool = True) -> tuple[DuplicateFinding, ...]:
        """What looks like a second mail, at most ``limit`` of each kind, by local dates from ``since`` on.

        Args:
            since: the first local date.
            limit: of each kind.
            scan: count all that was accepted anew; without it the answer comes at once, however much was sent.
        """
        rows = self._call("find_duplicates_v1", since=since, limit=limit, scan=scan)["findings"]
        return tuple(duplicate_finding(row) for row in rows)

    def _change(
        self,
        function: str,
        delivery_id: UUID,
        seen_state: str,
        by: str,
        host: str,
        reason: str,
        **more: Any,
    ) -> DeliveryChange:
        row = self._call(
            function, delivery=delivery_id, seen_state=seen_state, by=by, host=host, reason=reason, **more
        )
        return DeliveryChange(
            verdict=Verdict(row["verdict"]), state=row.get("state", ""), reason=row.get("reason", "")
        )


def duplicate_finding(row: dict[str, Any]) -> DuplicateFinding:
    """A finding as the database tells of it."""
    return DuplicateFinding(
        kind=row["kind"],
        subject=row["subject"],
        delivery_ids=tuple(UUID(delivery) for delivery in row["deliveries"]),
        detail=row["detail"],
    )


def _delivery(row: dict[str, Any]) -> Delivery:
    return Delivery(
        delivery_id=UUID(row["delivery_id"]),
        user_id=UUID(row["user_id"]),
        address=row["address"],
        local_date=date.fromisoformat(row["local_date"]),
        due_at=datetime.fromisoformat(row["due_at"]),
        send_until=datetime.fromisoformat(row["send_until"]),
        state=row["state"],
        reason=row["reason"] or "",
        generation=row["generation"],
        provider_id=row["provider_id"],
        sent_at=instant(row["sent_at"]),
        title=row["title"] or "",
    )


def _record(row: dict[str, Any]) -> DeliveryRecord:
    job = row["job"]
    return DeliveryRecord(
        delivery=_delivery(row["delivery"]),
        job_id=UUID(job["job_id"]),
        job_state=job["state"],
        job_attempt=job["attempt"],
        job_error=job["error"] or "",
        planned_at=datetime.fromisoformat(row["planned_at"]),
        begun_at=instant(row["begun_at"]),
        written_at=instant(row["written_at"]),
        batches=tuple(_membership(item) for item in row["batches"]),
        events=tuple(_event(item) for item in row["events"]),
        audit=tuple(_audit(item) for item in row["audit"]),
    )


def _membership(row: dict[str, Any]) -> Membership:
    return Membership(
        batch_id=UUID(row["batch_id"]),
        state=row["state"],
        key=row["key"],
        count=row["n"],
        attempts=row["attempts"],
        live=row["live"],
        outcome=row["outcome"],
        provider_id=row["provider_id"],
        last_status=row["last_status"],
        last_error=row["last_error"] or "",
        created_at=datetime.fromisoformat(row["created_at"]),
        first_used_at=instant(row["first_used_at"]),
        settled_at=instant(row["settled_at"]),
    )


def _event(row: dict[str, Any]) -> ReportedEvent:
    return ReportedEvent(
        kind=row["kind"],
        provider_id=row["provider_id"],
        happened_at=datetime.fromisoformat(row["happened_at"]),
    )


def _audit(row: dict[str, Any]) -> AuditRow:
    return AuditRow(
        at=datetime.fromisoformat(row["at"]),
        actor=row["actor"],
        host=row["host"],
        action=row["action"],
        reason=row["reason"],
        result=row["result"],
    )
