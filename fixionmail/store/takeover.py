"""The last step of taking over the earlier FixionMail: when each subscriber is due next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from fixionmail.schedule import Due, first_due, occurrences
from fixionmail.store.transport import instant, to_json

PAGE = 5000


def schedule_all(connection: psycopg.Connection[Any], now: datetime) -> int:
    """Give every subscriber who has none the instant at which they are due next; how many there were."""
    scheduled = 0
    after: str | None = None
    while rows := _call(connection, "select public.unscheduled_subscribers_v1(%s::uuid, %s)", after, PAGE):
        due = [_scheduled(row, now) for row in rows]
        scheduled += _call(connection, "select public.schedule_subscribers_v1(%s)", Jsonb(due))["scheduled"]
        after = rows[-1]["user_id"]
    return scheduled


def _scheduled(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    due = _next_due(row, now)
    return {
        "user_id": row["user_id"],
        "next_local_date": to_json(due.local_date),
        "next_due_at": to_json(due.due_at),
        "last_local_date": row["last_local_date"],
        "last_due_at": row["last_due_at"],
    }


def _next_due(row: Mapping[str, Any], now: datetime) -> Due:
    """The date that was begun and is to be planned anew, or else the first one after ``now``."""
    wishes = {"timezone": row["timezone"], "delivery_time": row["delivery_time"]}
    last_date = date.fromisoformat(row["last_local_date"]) if row["last_local_date"] else None
    last_due_at = instant(row["last_due_at"])
    open_date = date.fromisoformat(row["open_date"]) if row["open_date"] else None
    if open_date is not None and (last_date is None or open_date > last_date):
        return next(occurrences(**wishes, from_date=open_date, last_due_at=last_due_at))
    return first_due(**wishes, now=now.astimezone(UTC), last_local_date=last_date, last_due_at=last_due_at)


def _call(connection: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None
