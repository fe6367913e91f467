"""What looking for second mails and a whole look at the database cost, by how many deliveries there are.

    python -m tests.benchmarks.duplicates [--sizes 10000 1000000]

Prints medians of one run. Second mails are put in for real, with the constraint away, and must be found exactly.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from fixionmail.store import Store, migrations
from fixionmail.store.direct import DirectTransport
from fixionmail.store.embedded import embedded_postgres

DAYS = 10
SECOND_MAILS = 7
LONG_AGO = date(2000, 1, 1)
_SEED: tuple[LiteralString, ...] = (
    "insert into users (id, email, timezone, delivery_time, unsubscribe_token)"
    " select gen_random_uuid(), 'r' || i || '@example.com', 'Etc/GMT' || ((i %% 27) - 13), '08:00', 't' || i"
    " from generate_series(1, %(users)s) i",
    "insert into subscriber_schedule (user_id, next_local_date, next_due_at)"
    " select id, current_date + 1, now() + interval '20 hours' from users",
    "insert into story_jobs (id, user_id, local_date, due_at, send_until, state, run_after, ring_at)"
    " select gen_random_uuid(), id, current_date - d, now() - d * interval '1 day', now(), 'completed', now(), now()"
    " from users, generate_series(0, 9) d",
    "insert into stories (id, job_id, user_id, local_date, title, body, writer)"
    " select gen_random_uuid(), id, user_id, local_date, 'T', 'B', 'w' from story_jobs",
    "insert into scheduled_deliveries (id, job_id, story_id, user_id, local_date, due_at, send_until, state, address,"
    " provider_id, sent_at) select gen_random_uuid(), job_id, id, user_id, local_date, now(), now(), 'delivered',"
    " 'r@example.com', gen_random_uuid()::text, now() from stories",
    "insert into mail_batches (id, state, n, due_at, send_until, next_attempt_at, settled_at)"
    " select gen_random_uuid(), 'accepted', 100, now(), now(), now(), now() from generate_series(1, %(batches)s)",
    "insert into mail_batch_items (batch_id, pos, delivery_id, live, outcome, provider_id)"
    " select b.id, d.k %% 100, d.id, false, 'accepted', d.provider_id"
    " from (select id, provider_id, row_number() over () - 1 as k from scheduled_deliveries) d"
    " join (select id, row_number() over () - 1 as k from mail_batches) b on b.k = d.k / 100",
    "insert into counter_base select local_date, 'delivery', state, count(*) from scheduled_deliveries group by 1, 3",
    "insert into counter_base select local_date, 'job', state, count(*) from story_jobs group by 1, 3",
    "insert into counter_base select '-infinity'::date, 'zone', timezone, count(*) from users group by 3",
    "vacuum analyze",
)
_ACCEPTED_TWICE: LiteralString = (
    "insert into mail_batch_items (batch_id, pos, delivery_id, live, outcome, provider_id)"
    " select batch_id, 1000 + pos, delivery_id, false, 'accepted', 'second' from mail_batch_items limit %s"
)
_SAME_DATE: LiteralString = (
    "with one as (select user_id, local_date from scheduled_deliveries limit %(n)s),"
    " other as (select id, row_number() over () as k from scheduled_deliveries d"
    "  where not exists (select from one where one.user_id = d.user_id) limit %(n)s)"
    " update scheduled_deliveries d set user_id = one.user_id, local_date = one.local_date"
    " from other, (select *, row_number() over () as k from one) one where d.id = other.id and one.k = other.k"
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    wanted = parser.parse_args()
    print(f"{'deliveries':>11} {'':30} {'ms':>9}")
    for size in wanted.sizes:
        with tempfile.TemporaryDirectory() as home, embedded_postgres(Path(home)) as url:
            _measure(url, size)


def _measure(url: str, size: int) -> None:
    migrations.migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select set_config('session_replication_role', 'replica', false)")
        for statement in _SEED:
            if "%" in statement:
                connection.execute(statement, {"users": size // DAYS, "batches": size // 100})
            else:
                connection.execute(statement)
        store = Store.over(DirectTransport(url, 1))
        _healthy(store, size)
        _with_second_mails(store, connection, size)
        store.close()


def _healthy(store: Store, size: int) -> None:
    today = datetime.now(UTC).date()
    _show(size, "whole look", 200, lambda: store.operations.snapshot(today, lead=timedelta(minutes=30)))
    _show(size, "what each tick asks", 200, lambda: _found(store, scan=False))
    _show(size, "full scan", 5, lambda: _found(store, scan=True))
    assert not _found(store, scan=True)


def _with_second_mails(store: Store, connection: psycopg.Connection[Any], size: int) -> None:
    connection.execute(_ACCEPTED_TWICE, [SECOND_MAILS])
    found = _found(store, scan=True)
    assert [row.kind for row in found] == ["accepted_twice"] * SECOND_MAILS
    connection.execute("drop index one_daily_delivery")
    connection.execute(_SAME_DATE, {"n": SECOND_MAILS})
    connection.execute("vacuum scheduled_deliveries")
    _show(size, "full scan, one constraint away", 5, lambda: _found(store, scan=True))
    _show(size, "a look, one constraint away", 5, lambda: _looked(store))
    kinds = [row.kind for row in _found(store, scan=True)]
    assert kinds.count("same_date") == SECOND_MAILS, kinds
    connection.execute("alter table scheduled_deliveries drop constraint unique_story_delivery")
    _show(size, "full scan, two constraints away", 5, lambda: _found(store, scan=True))
    _show(size, "a look, two constraints away", 5, lambda: _looked(store))


def _found(store: Store, *, scan: bool) -> tuple[Any, ...]:
    return store.deliveries.duplicates(since=LONG_AGO, scan=scan)


def _looked(store: Store) -> tuple[Any, ...]:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return store.deliveries.duplicates(since=yesterday, scan=False)


def _show(size: int, what: str, rounds: int, work: Callable[[], object]) -> None:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    print(f"{size:>11,} {what:30} {statistics.median(times) * 1000:>9.2f}")


if __name__ == "__main__":
    main()
