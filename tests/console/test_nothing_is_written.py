"""Browsing writes nothing: the real app on a real Redis and a real Postgres, through every view."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from console.app import ConsoleApp
from console.live import LiveDeck, open_deck
from console.views.failures import Failures
from console.views.jobs import Jobs
from fixionmail.models.mail import Outcome
from fixionmail.settings import Settings
from fixionmail.store import Store
from tests.benchmarks.ops.seeding import seed
from tests.console.stage import Stage
from tests.contract.store.world import World
from tests.integration.worker.monitor import sent_commands

JOBS = 6000
LOOKING = {"AUTH", "PING", "EVALSHA_RO", "EVAL_RO"}
"""Greetings, and scripts that the server itself lets only read. (CLIENT LIST is not shown by MONITOR.)"""


@pytest.fixture
def world(direct_store: Store, database_url: str) -> Iterator[World]:
    """Deliveries that wait, were sent, and of which nobody is certain."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        made = World(direct_store, connection)
        made.sent(2)
        batch, token, _ = made.sending(1)
        made.settle(batch, token, Outcome.KEY_CONFLICT, status=409, error="another body")
        made.deliveries(3)
        yield made


@pytest.fixture
def deck(
    world: World, redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveDeck]:
    """A deployment with jobs in all states, on a database that refuses every write."""
    with Redis.from_url(redis_url) as client:
        seed(client, JOBS, datetime.now(UTC))
    name = database_url.rpartition("/")[2]
    world.change(f"alter database {name} set default_transaction_read_only = on")
    settings = {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "FIXIONMAIL_HOME": str(tmp_path)}
    for setting, value in settings.items():  # the doctor reads them anew
        monkeypatch.setenv(setting, value)
    opened = open_deck(None, Settings(), prefix="rq", read_only=False)
    yield opened
    opened.close()


def browse(deck: LiveDeck) -> str:
    """All eight views with pages, filter, search, detail, failures, audit, duplicate check and doctor; the toasts."""
    app = ConsoleApp(deck, live=False)

    async def run() -> str:
        async with app.run_test(size=(160, 48), notifications=True) as pilot:
            stage = Stage(app, pilot)
            await stage.settle()
            await every_view(stage)
            return "\n".join(stage.toasts)

    return asyncio.run(run())


async def every_view(stage: Stage) -> None:
    await stage.press("1", "w", "escape")
    await stage.press("2", "end", "end", "f", "f", "f", "enter")
    assert "Traceback" in stage.words("#job-error")
    await stage.press("escape", "slash")
    await stage.type("err:provider")
    await stage.press("enter")
    assert len(stage.table("#jobs").rows) > 50
    assert stage.app.main.query_one(Jobs).query_text == "err:provider"
    await stage.press("3", "down", "enter")
    assert stage.app.main.query_one(Failures).table.rows
    await stage.press("4", "down", "enter", "5", "enter", "escape", "t", "t", "enter", "escape", "t", "t")
    assert stage.table("#deliveries-table").rows == ()
    await stage.press("6", "a")
    assert "audited" in stage.screen_text()
    await stage.press("7", "8", "r")
    await stage.look()
    assert stage.table("#checks").rows


def test_browsing_everything_writes_neither_to_redis_nor_to_the_database(
    deck: LiveDeck, redis_url: str, world: World
) -> None:
    """Redis is sent only what cannot write, keeps every key as it was, and no transaction begins to write."""
    said: list[str] = []
    with Redis.from_url(redis_url) as client:
        keys, transaction = everything(client), next_transaction(world)

        sent = sent_commands(redis_url, lambda: said.append(browse(deck)))

        assert len(sent) > 20
        assert set(sent) <= LOOKING
        assert everything(client) == keys
    assert next_transaction(world) == transaction
    assert "read-only" not in said[0]


def everything(redis: Any) -> dict[bytes, tuple[bytes, bool]]:
    """Every key with its value and whether it will go."""
    return {key: (redis.dump(key), redis.pttl(key) > 0) for key in redis.scan_iter(count=5000)}


def next_transaction(world: World) -> int:
    """The number of the next transaction that writes something; a server gives it to no other."""
    return int(world.value("select pg_snapshot_xmax(pg_current_snapshot())::text"))
