"""Fixtures for everybody: one real Postgres and one real Redis per test process, fresh data for each test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from redis import Redis

from fixionmail.processes.redis import embedded_redis
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from tests.contract.store.world import World
from tests.postgres import PostgresServer, running_postgres

CONNECTIONS = 8

# The same examples in every run, so that a red run is the change's doing; `make test-slow` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("exploring", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """This test process's Postgres."""
    with running_postgres() as server:
        server.make_template()
        yield server


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL, as superuser, of a database without anything in it."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL, as superuser and owner, of a database with all migrations and no rows."""
    with postgres_server.migrated_database() as url:
        yield url


@pytest.fixture
def direct_store(database_url: str) -> Iterator[Store]:
    """A store on psycopg."""
    store = Store.over(DirectTransport(database_url, CONNECTIONS))
    yield store
    store.close()


@pytest.fixture
def rpc_store(database_url: str) -> Iterator[Store]:
    """A store on supabase-py, over HTTP and PostgREST's rules."""
    from fixionmail.store.rpc import RpcTransport
    from tests.standins.postgrest import PostgrestStandIn

    with PostgrestStandIn(database_url) as api:
        store = Store.over(RpcTransport(api.url, lambda: api.service_key, CONNECTIONS))
        yield store
        store.close()


@pytest.fixture(params=["postgres", "supabase"])
def store(request: pytest.FixtureRequest) -> Store:
    """The store, once on each road to the database; whatever is tested with it must hold on both."""
    chosen: Store = request.getfixturevalue("direct_store" if request.param == "postgres" else "rpc_store")
    return chosen


@pytest.fixture
def world(direct_store: Store, database_url: str) -> Iterator[World]:
    """A database with nothing in it, by psycopg, and a superuser's look into it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield World(direct_store, connection)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of this test process's Redis."""
    with tempfile.TemporaryDirectory(prefix="fixionmail-tests-") as home, embedded_redis(Path(home)) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a Redis without any keys."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server
