"""Readers whose story is due now, whatever time it is and however long it takes to add them."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from fixionmail.store.embedded import running_url
from tests.commands import run


def add_reader_due_now(home: Path, address: str, **settings: str) -> None:
    """A reader whose story was due when the minute began: it is planned, written and mailed at once.

    ``settings`` lead to the database; without one in them it is the bundled one of this home.
    """
    # The minute has begun, so their first story is tomorrow's, which nobody plans yet: it becomes today's.
    at = time.strftime("%H:%M", time.gmtime())
    added = run(home, "subscribers", "add", address, "--timezone", "UTC", "--delivery-time", at, **settings)
    assert added.code == 0, added
    with psycopg.connect(_url(home, settings)) as connection:
        connection.execute(
            "update subscriber_schedule set next_due_at = next_due_at - interval '1 day',"
            " next_local_date = next_local_date - 1"
            " where user_id = (select id from users where email = %s)",
            [address],
        )


def written(home: Path, **settings: str) -> int:
    """How many stories there are."""
    with psycopg.connect(_url(home, settings)) as connection:
        row = connection.execute("select count(*) from stories").fetchone()
    return int(row[0]) if row else 0


def _url(home: Path, settings: dict[str, str]) -> str:
    url = settings.get("DATABASE_URL") or running_url(home)
    assert url is not None, "its Postgres does not run"
    return url
