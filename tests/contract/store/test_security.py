"""Who may do what: the service and the owner everything through functions, everybody else nothing."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from fixionmail.errors import DatabaseRefusedError
from fixionmail.store import Store
from fixionmail.store.rpc import RpcTransport
from tests.contract.store.world import TODAY, World
from tests.standins.postgrest import PostgrestStandIn

CLIENTS = ("anon", "authenticated")
OWNERS_ONLY = {"close_to_clients_v1", "record_migration_v1"}
"""What migrations alone call."""


def test_row_level_security_is_on_for_every_table_and_no_policy_opens_one(direct_world: World) -> None:
    open_tables = (
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    )
    assert direct_world.column(f"{open_tables} and not relrowsecurity") == []
    assert direct_world.column("select polname from pg_policy") == []
    assert len(direct_world.column(open_tables)) > 10


@pytest.mark.parametrize("role", CLIENTS)
@pytest.mark.parametrize(
    "privilege", ["select", "insert", "update", "delete", "truncate", "references", "trigger"]
)
def test_browsers_have_no_privilege_on_any_table(direct_world: World, role: str, privilege: str) -> None:
    query = (
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')"
        " and has_table_privilege(%s, oid, %s)"
    )
    assert direct_world.column(query, role, privilege) == []


@pytest.mark.parametrize("role", CLIENTS)
def test_browsers_may_execute_no_function(direct_world: World, role: str) -> None:
    query = (
        "select proname from pg_proc where pronamespace = 'public'::regnamespace"
        " and has_function_privilege(%s, oid, 'execute')"
    )
    assert direct_world.column(query, role) == []


def test_the_service_may_execute_every_function_but_those_of_migrations(direct_world: World) -> None:
    query = (
        "select proname from pg_proc where pronamespace = 'public'::regnamespace"
        " and not has_function_privilege('service_role', oid, 'execute')"
    )
    assert set(direct_world.column(query)) == OWNERS_ONLY


def test_functions_with_their_owners_rights_look_nowhere_but_in_our_schema(direct_world: World) -> None:
    query = (
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and prosecdef"
        " and not coalesce(proconfig, '{}') @> array['search_path=public, pg_temp']"
    )
    assert direct_world.column(query) == []


def test_every_name_belongs_to_one_function(direct_world: World) -> None:
    query = "select proname from pg_proc where pronamespace = 'public'::regnamespace group by 1 having count(*) > 1"
    assert direct_world.column(query) == []


@pytest.mark.parametrize("role", [*CLIENTS, "service_role"])
def test_nobody_but_the_owner_reads_a_table_directly(shared_database: str, role: str) -> None:
    with psycopg.connect(shared_database, autocommit=True) as connection:
        connection.execute(f"set role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select email from users")


class TestOverHttp:
    @pytest.fixture
    def api(self, shared_database: str) -> Iterator[PostgrestStandIn]:
        with PostgrestStandIn(shared_database) as api:
            yield api

    def ask(self, api: PostgrestStandIn, key: str) -> int:
        store = Store.over(RpcTransport(api.url, lambda: key, 1))
        try:
            return len(store.operations.snapshot(TODAY).processes)
        finally:
            store.close()

    @pytest.mark.parametrize("kind", ["service_key", "secret_key"])
    def test_both_kinds_of_service_keys_are_let_in(self, api: PostgrestStandIn, kind: str) -> None:
        assert self.ask(api, getattr(api, kind)) == 0

    @pytest.mark.parametrize("kind", ["anon_key", "publishable_key"])
    def test_keys_of_browsers_are_refused_in_words(self, api: PostgrestStandIn, kind: str) -> None:
        with pytest.raises(DatabaseRefusedError, match=r"refuses the key: .*\. Check SUPABASE_SERVICE_KEY\."):
            self.ask(api, getattr(api, kind))

    def test_an_unknown_key_is_refused_in_words_that_do_not_repeat_it(self, api: PostgrestStandIn) -> None:
        with pytest.raises(DatabaseRefusedError, match="Check SUPABASE_SERVICE_KEY") as refused:
            self.ask(api, "sb_secret_made_up")
        assert "made_up" not in str(refused.value)
