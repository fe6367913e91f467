"""One database for the whole suite, emptied before each test: hundreds of copies of a template would take minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from fixionmail.store.rpc import RpcTransport
from tests.contract.store.world import World
from tests.postgres import PostgresServer
from tests.standins.postgrest import PostgrestStandIn

CONNECTIONS = 8
_EMPTY: LiteralString = """
do $$
declare
  v_table name;
begin
  set local session_replication_role = replica;  -- neither foreign keys nor the counters' triggers
  for v_table in
    select tablename from pg_tables where schemaname = 'public' and tablename <> 'fixionmail_migrations'
  loop
    execute format('delete from %I', v_table);
  end loop;
end
$$
"""


@pytest.fixture(scope="module")
def shared_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.migrated_database() as url:
        yield url


@pytest.fixture(scope="module")
def shared_direct_store(shared_database: str) -> Iterator[Store]:
    store = Store.over(DirectTransport(shared_database, CONNECTIONS))
    yield store
    store.close()


@pytest.fixture(scope="module")
def shared_rpc_store(shared_database: str) -> Iterator[Store]:
    with PostgrestStandIn(shared_database) as api:
        store = Store.over(RpcTransport(api.url, lambda: api.service_key, CONNECTIONS))
        yield store
        store.close()


@pytest.fixture(scope="module")
def shared_connection(shared_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shared_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def connection(shared_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A superuser's look into the emptied database."""
    shared_connection.execute(_EMPTY)
    return shared_connection


@pytest.fixture(params=["postgres", "supabase"])
def store(request: pytest.FixtureRequest, connection: psycopg.Connection[Any]) -> Store:
    """The store on each road to the database."""
    road = "direct" if request.param == "postgres" else "rpc"
    chosen: Store = request.getfixturevalue(f"shared_{road}_store")
    return chosen


@pytest.fixture
def direct_store(shared_direct_store: Store, connection: psycopg.Connection[Any]) -> Store:
    """The store on psycopg, where a rule of the database is meant and the road does not matter."""
    return shared_direct_store


@pytest.fixture
def world(store: Store, connection: psycopg.Connection[Any]) -> World:
    """A database with nothing in it, on both roads."""
    return World(store, connection)


@pytest.fixture
def direct_world(direct_store: Store, connection: psycopg.Connection[Any]) -> World:
    """A database with nothing in it, on psycopg alone."""
    return World(direct_store, connection)
