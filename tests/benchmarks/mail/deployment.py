"""What every contestant runs on: a Postgres with due deliveries, an empty Redis, and the strict stand-in for Resend."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from fixionmail.processes.redis import embedded_redis
from fixionmail.store import migrations
from fixionmail.store.embedded import embedded_postgres
from tests.commands import environment

DUE = """
with reader as (
  insert into users (id, email, timezone, delivery_time, unsubscribe_token)
  select gen_random_uuid(), 'reader' || n || '@of' || %(mails)s || '.example.com', 'UTC', '08:00', gen_random_uuid()
    from generate_series(1, %(mails)s) n returning id),
job as (
  insert into story_jobs (id, user_id, local_date, due_at, send_until, state, run_after, ring_at)
  select gen_random_uuid(), id, current_date, now(), now() + interval '6 hours', 'completed', now(), now()
    from reader returning id, user_id),
story as (
  insert into stories (id, job_id, user_id, local_date, title, body, writer)
  select gen_random_uuid(), id, user_id, current_date, 'The Lamp Keeper', %(body)s, 'bench'
    from job returning id, job_id, user_id)
insert into scheduled_deliveries (id, job_id, story_id, user_id, local_date, due_at, send_until, state)
select gen_random_uuid(), job_id, id, user_id, current_date, now(), now() + interval '6 hours', 'pending' from story
"""
_DONE = "select count(*) from scheduled_deliveries where state = 'sent'"
_RATE = """
with sent as (select sent_at from scheduled_deliveries where state = 'sent'),
ends as (select min(sent_at) as first, max(sent_at) as last from sent)
select (select count(*) from sent, ends where sent_at > first) / extract(epoch from last - first) from ends
"""
BODY = "\n\n".join(
    ["It was the kind of evening that remembers other evenings, and the lamp knew it. " * 6] * 12
)
"""About as long as a story is."""
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where everything answers; ``environment`` leads any of our processes to it."""

    environment: dict[str, str]
    redis_url: str
    connection: psycopg.Connection[Any]

    def mails_per_second(self, mails: int) -> float:
        """Wait until all are recorded as sent; the rate by the database's clock, without the first request."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while self._one(_DONE) < mails:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"only {self._one(_DONE)} of {mails} mails were sent")
            time.sleep(0.1)
        return float(self._one(_RATE))

    def _one(self, statement: str) -> Any:
        row = self.connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def deployment(mails: int, requests_per_second: float) -> Iterator[Deployment]:
    """A fresh one with so many due mails, the line open at this rate."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_postgres(Path(folder)) as database_url,
        embedded_redis(Path(folder)) as redis_url,
        _resend() as resend,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        migrations.migrate(database_url)
        connection.execute(DUE.encode(), {"mails": mails, "body": BODY})
        connection.execute("analyze")
        connection.execute("insert into send_lines (name, rate) values ('resend', %s)", [requests_per_second])
        settings = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "RESEND_API_KEY": resend["api_key"],
            "RESEND_API_URL": resend["url"],
            "EMAIL_FROM": "Stories <stories@example.com>",
            "LOG_LEVEL": "error",
        }
        yield Deployment(
            environment=environment(Path(folder), **settings), redis_url=redis_url, connection=connection
        )


@contextmanager
def _resend() -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "tests.standins.resend", "--domain", "example.com"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
