"""Taking over the earlier FixionMail, beside ``018_take_over.sql``: years of rows at once, and who is due when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from fixionmail.schedule import Due, first_due, occurrences
from fixionmail.store.transport import instant, to_json

PAGE = 5000
MIGRATION = "018_take_over"

# Undone in this order and made again in the opposite one: foreign keys, keys, indexes.
_TAKE_OFF = """
do $$
declare
  c_tables constant regclass[] :=
    array['public.story_jobs', 'public.stories', 'public.scheduled_deliveries']::regclass[];
  v_row record;
begin
  create temporary table taken_off on commit drop as
  select case contype when 'f' then 1 else 2 end as place,
         format('alter table %s drop constraint %I', conrelid::regclass, conname) as undo,
         format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as redo
    from pg_constraint
   where contype in ('p', 'u') and conrelid = any (c_tables)
      or contype = 'f' and (conrelid = any (c_tables) or confrelid = any (c_tables))
  union all
  select 3, format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    from pg_index i
   where indrelid = any (c_tables)
     and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u'));
  for v_row in select undo from taken_off order by place loop
    execute v_row.undo;
  end loop;
end
$$"""
_PUT_BACK = """
do $$
declare
  v_row record;
begin
  for v_row in select redo from taken_off order by place desc loop
    execute v_row.redo;
  end loop;
end
$$"""


@contextmanager
def loading(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Within a transaction, and where there is something to take over: the tables that are filled inside have no keys
    and indexes meanwhile. They are made again, and so checked, at the end, which takes half the time or less.
    """
    (is_earlier,) = connection.execute("select to_regclass('earlier.users') is not null").fetchone() or (
        False,
    )
    if is_earlier:
        connection.execute(_TAKE_OFF)
    yield
    if is_earlier:
        connection.execute(_PUT_BACK)


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
