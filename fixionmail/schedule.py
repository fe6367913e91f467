"""When a story is due: the one place where a local date and time become an instant.

Postgres and Python disagree about times that happen twice, so SQL never does this. Nothing here adds 24 hours:
the next local date is taken, then resolved in the subscriber's zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DEFAULT_TIMEZONE = "UTC"
DEFAULT_DELIVERY_TIME = time(8, 0)
GRACE = timedelta(hours=6)
"""A story is still worth sending until local midnight, or this long after it was due, whichever is later."""
WINDOW = timedelta(hours=23)
"""Nothing is sent later than this after it was due: the provider forgets our key after 24 hours."""
MIN_GAP = timedelta(hours=12)
"""Two stories to one subscriber are at least this far apart, also when they move to another zone."""

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?")


@dataclass(frozen=True, kw_only=True)
class Due:
    """One daily story: the subscriber's local date, when it is due and until when it may still be sent."""

    local_date: date
    due_at: datetime
    send_until: datetime


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """The IANA zone of that name, or None when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found is a KeyError, a folder's name an OSError
        return None


def parse_time(text: str) -> time | None:
    """A delivery time written HH:MM, or None when it is not one."""
    match = _TIME.fullmatch(text.strip())
    return time(int(match[1]), int(match[2])) if match else None


def instant(local_date: date, at: time, tz: ZoneInfo) -> datetime | None:
    """When the clocks in ``tz`` show ``at`` on ``local_date``, in UTC.

    A time that is skipped (clocks go forward) is shifted by the gap; of one that happens twice, the first is
    meant. None when the whole date does not exist there (the zone moved across the date line).
    """
    first_moment = datetime.combine(local_date, time(), tzinfo=tz).astimezone(UTC)
    if first_moment.astimezone(tz).date() != local_date:
        return None
    return datetime.combine(local_date, at, tzinfo=tz).astimezone(UTC)


def occurrences(
    *,
    timezone: str,
    delivery_time: str,
    from_date: date,
    last_due_at: datetime | None = None,
) -> Iterator[Due]:
    """The subscriber's daily stories from ``from_date`` on, without end.

    Args:
        timezone: as stored; an unknown name counts as UTC (``doctor`` names the row).
        delivery_time: as stored, HH:MM; an unreadable one counts as 08:00.
        from_date: the first local date to consider.
        last_due_at: the previous story's instant: the first one here is at least :data:`MIN_GAP` later, so that
            a move to another zone does not bring two within hours.
    """
    tz = zone(timezone) or ZoneInfo(DEFAULT_TIMEZONE)
    at = parse_time(delivery_time) or DEFAULT_DELIVERY_TIME
    day = from_date
    while True:
        due_at = instant(day, at, tz)
        if due_at is not None and last_due_at is not None and due_at < last_due_at + MIN_GAP:
            due_at = last_due_at + MIN_GAP
            if due_at.astimezone(tz).date() != day:
                due_at = None  # put off beyond its date: this date has no story
        if due_at is not None:
            last_due_at = due_at
            yield Due(local_date=day, due_at=due_at, send_until=_send_until(day, due_at, tz))
        day += timedelta(days=1)


def _send_until(local_date: date, due_at: datetime, tz: ZoneInfo) -> datetime:
    midnight = datetime.combine(local_date + timedelta(days=1), time(), tzinfo=tz).astimezone(UTC)
    return min(max(midnight, due_at + GRACE), due_at + WINDOW)


def first_due(
    *,
    timezone: str,
    delivery_time: str,
    now: datetime,
    last_local_date: date | None = None,
    last_due_at: datetime | None = None,
) -> Due:
    """The first story that is due after ``now`` for somebody who joins, returns or changes their wishes now.

    ``last_local_date`` and ``last_due_at`` are those of the last story planned for them, if any.
    """
    tz = zone(timezone) or ZoneInfo(DEFAULT_TIMEZONE)
    today = now.astimezone(tz).date()
    from_date = today if last_local_date is None else max(today, last_local_date + timedelta(days=1))
    dues = occurrences(
        timezone=timezone, delivery_time=delivery_time, from_date=from_date, last_due_at=last_due_at
    )
    return next(due for due in dues if due.due_at >= now)
