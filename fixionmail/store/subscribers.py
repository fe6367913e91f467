"""Subscribers in the database. Dates are computed by the caller, with ``fixionmail.schedule``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from fixionmail.models.subscribers import NewSubscriber, PastDelivery, Subscriber
from fixionmail.schedule import Due
from fixionmail.store.transport import Caller, instant


@dataclass(frozen=True)
class Subscribers:
    """Database functions of ``010_subscribers.sql``."""

    _call: Caller

    def add(self, rows: Sequence[NewSubscriber]) -> list[str]:
        """Add those who are not known yet; for each row, in order: ``added``, ``restored`` or ``known``."""
        answer: list[str] = self._call(
            "add_subscribers_v1",
            rows=[
                {
                    "id": row.user_id,
                    "email": row.email,
                    "timezone": row.timezone,
                    "delivery_time": row.delivery_time,
                    "story_bible": row.story_bible,
                    "unsubscribe_token": row.unsubscribe_token,
                    "next_local_date": row.due.local_date,
                    "next_due_at": row.due.due_at,
                }
                for row in rows
            ],
        )
        return answer

    def find(self, who: str, *, deliveries: int = 0) -> Subscriber | None:
        """One subscriber by address or id, with at most so many of the last deliveries."""
        row = self._call("find_subscriber_v1", who=who, deliveries=deliveries)
        return _subscriber(row) if row else None

    def list(
        self, *, status: str | None, search: str | None, after: str | None, limit: int
    ) -> tuple[Subscriber, ...]:
        """A page in the order of addresses, after the address ``after``; removed ones only when asked for."""
        rows = self._call("list_subscribers_v1", status=status, search=search, after=after, limit=limit)
        return tuple(_subscriber(row) for row in rows)

    def set_status(
        self,
        user_id: UUID,
        *,
        status: str,
        reason: str | None,
        by: str,
        host: str,
        due: Due | None,
        seen_status: str | None = None,
    ) -> str:
        """Start or stop a subscriber's mail: ``ok``, ``already``, ``gone``, or ``changed`` since it was seen.

        Args:
            user_id: of the subscriber.
            status: the new one.
            reason: kept with it.
            by: who wants it.
            host: where from.
            due: the next story, when active.
            seen_status: what they were when this was decided; None when it holds whatever they are.
        """
        row = self._call(
            "set_subscriber_status_v1",
            user=user_id,
            status=status,
            reason=reason,
            by=by,
            host=host,
            next_local_date=due and due.local_date,
            next_due_at=due and due.due_at,
            seen_status=seen_status,
        )
        return str(row["verdict"])

    def change(
        self,
        user_id: UUID,
        *,
        timezone: str | None,
        delivery_time: str | None,
        story_bible: Mapping[str, str] | None,
        due: Due | None,
    ) -> str:
        """Change what a subscriber asked for (None: as it is): ``ok`` or ``gone``."""
        row = self._call(
            "change_subscriber_v1",
            user=user_id,
            timezone=timezone,
            delivery_time=delivery_time,
            story_bible=story_bible,
            next_local_date=due and due.local_date,
            next_due_at=due and due.due_at,
        )
        return str(row["verdict"])


def _subscriber(row: dict[str, Any]) -> Subscriber:
    return Subscriber(
        user_id=UUID(row["user_id"]),
        email=row["email"],
        status=row["status"],
        status_reason=row["status_reason"] or "",
        timezone=row["timezone"],
        delivery_time=row["delivery_time"],
        story_bible=row["story_bible"],
        credits=row["credits"],
        created_at=datetime.fromisoformat(row["created_at"]),
        next_due_at=instant(row["next_due_at"]),
        last_local_date=date.fromisoformat(row["last_local_date"]) if row["last_local_date"] else None,
        last_due_at=instant(row["last_due_at"]),
        deliveries=tuple(_delivery(past) for past in row.get("deliveries", [])),
    )


def _delivery(row: dict[str, Any]) -> PastDelivery:
    return PastDelivery(
        delivery_id=UUID(row["delivery_id"]),
        local_date=date.fromisoformat(row["local_date"]),
        due_at=datetime.fromisoformat(row["due_at"]),
        state=row["state"],
        reason=row["reason"] or "",
        sent_at=instant(row["sent_at"]),
        title=row["title"] or "",
    )
