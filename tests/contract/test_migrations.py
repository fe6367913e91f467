"""Bringing a database up to date: once, by anybody, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from fixionmail.errors import (
    DatabaseError,
    DatabaseNewerError,
    DatabaseOutdatedError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
)
from fixionmail.store import Store, migrations
from fixionmail.store.direct import DirectTransport
from tests.postgres import PostgresServer, running_postgres, url_of

ALL = tuple(migration.name for migration in migrations.known_migrations())
ROLES: LiteralString = (
    "select rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role') order by 1"
)
OBJECTS: LiteralString = "select relname from pg_class where relnamespace = 'public'::regnamespace order by 1"
PASSWORD = "an-ordinary-password"


def run(url: str, statement: LiteralString, *values: object) -> list[Any]:
    """Execute it; the first column of what it returns."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return [row[0] for row in cursor] if cursor.description else []


class TestMigrating:
    def test_applies_everything_in_order(self, empty_database: str) -> None:
        assert migrations.migrate(empty_database) == ALL
        assert migrations.status(empty_database) == migrations.Status(
            applied=ALL, missing=(), unknown=(), changed=()
        )

    def test_twice_applies_nothing_more(self, empty_database: str) -> None:
        migrations.migrate(empty_database)
        before = run(empty_database, OBJECTS)
        assert migrations.migrate(empty_database) == ()
        assert run(empty_database, OBJECTS) == before

    def test_by_several_processes_at_once_applies_each_once(self, empty_database: str) -> None:
        script = (
            "import sys; from fixionmail.store import migrations; print(*migrations.migrate(sys.argv[1]))"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script, empty_database], stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        outcomes = [process.communicate(timeout=60)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
        assert sorted(name for applied in outcomes for name in applied) == list(ALL)

    def test_lets_a_postgrest_see_the_new_functions(self, empty_database: str) -> None:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute("listen pgrst")
            migrations.migrate(empty_database)
            migrations.migrate(empty_database)
            assert [note.payload for note in connection.notifies(timeout=0.1)] == ["reload schema"]

    def test_records_the_checksum_of_each(self, empty_database: str) -> None:
        migrations.migrate(empty_database)
        recorded = run(empty_database, "select checksum from fixionmail_migrations order by version")
        assert recorded == [migration.checksum for migration in migrations.known_migrations()]

    def test_works_whatever_the_search_path_of_the_user(self, empty_database: str) -> None:
        name = sql.Identifier(psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"])  # type: ignore[arg-type]
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute("create schema elsewhere")
            connection.execute(sql.SQL("alter database {} set search_path = elsewhere").format(name))
        migrations.migrate(empty_database)
        assert "users" in run(empty_database, OBJECTS)
        with closing(Store.over(DirectTransport(empty_database, 1))) as store:
            assert store.operations.waiting_jobs() == ()


class TestAMigrationThatFails:
    def test_leaves_no_trace_and_those_before_it_stay(self, empty_database: str) -> None:
        run(
            empty_database, "create table counter_delta (mine integer)"
        )  # what 006 makes, after another table
        with pytest.raises(
            DatabaseError, match=r"006_counters failed and was undone: .*counter_delta.* exists"
        ):
            migrations.migrate(empty_database)
        assert migrations.status(empty_database).applied == ALL[:5]
        assert "counter_base" not in run(empty_database, OBJECTS)

    def test_is_applied_once_its_cause_is_gone(self, empty_database: str) -> None:
        run(empty_database, "create table counter_delta (mine integer)")
        with pytest.raises(DatabaseError):
            migrations.migrate(empty_database)
        run(empty_database, "drop table counter_delta")
        assert migrations.migrate(empty_database) == ALL[5:]


class TestADatabaseThatIsNotOurs:
    def require(self, url: str) -> None:
        with closing(DirectTransport(url, 1)) as transport:
            migrations.require_current(transport)

    def test_a_newer_one_is_left_alone(self, database_url: str) -> None:
        run(database_url, "delete from fixionmail_migrations where name = %s", ALL[-1])
        run(database_url, "insert into fixionmail_migrations values (999, '999_later', 'x')")
        for refuse in (migrations.migrate, self.require):
            with pytest.raises(DatabaseNewerError, match="999_later"):
                refuse(database_url)
        assert migrations.status(database_url).unknown == ("999_later",)

    def test_one_with_another_text_of_a_migration_is_named(self, database_url: str) -> None:
        run(database_url, "update fixionmail_migrations set checksum = 'other' where version = 3")
        for refuse in (migrations.migrate, self.require):
            with pytest.raises(DatabaseError, match="another text of 003_scheduled_deliveries"):
                refuse(database_url)
        assert migrations.status(database_url).changed == ("003_scheduled_deliveries",)

    def test_an_older_one_is_not_worked_with(self, database_url: str) -> None:
        run(database_url, "delete from fixionmail_migrations where name = %s", ALL[-1])
        with pytest.raises(DatabaseOutdatedError, match=f"lacks {ALL[-1]}: run fixionmail db migrate"):
            self.require(database_url)

    def test_an_empty_one_is_not_worked_with(self, empty_database: str) -> None:
        with pytest.raises(DatabaseOutdatedError, match="run fixionmail db migrate"):
            self.require(empty_database)

    def test_ours_is_worked_with(self, database_url: str) -> None:
        self.require(database_url)

    def test_asking_for_the_status_changes_nothing(self, empty_database: str) -> None:
        assert migrations.status(empty_database).missing == ALL
        assert run(empty_database, OBJECTS) == []

    def test_one_that_cannot_be_reached_is_told_in_words(self, empty_database: str) -> None:
        with pytest.raises(DatabaseRefusedError, match="Check DATABASE_URL"):
            migrations.migrate(url_of(empty_database, user="postgres", password="wrong"))
        with pytest.raises(DatabaseUnreachableError, match="does not answer"):
            migrations.status("postgresql://u:p@127.0.0.1:1/x")


@pytest.fixture
def bare_server() -> Iterator[PostgresServer]:
    """A server on which nothing of ours has ever been."""
    with running_postgres() as server:
        yield server


class TestRoles:
    def test_an_owner_who_may_not_make_roles_is_told_so_and_nothing_is_left(
        self, bare_server: PostgresServer
    ) -> None:
        with bare_server.database() as database:
            owner = ordinary_owner(database, "early_owner")
            with pytest.raises(
                DatabaseError, match="001_users failed and was undone: permission denied to create role"
            ):
                migrations.migrate(owner)
            assert run(database, OBJECTS) == []

    def test_those_that_plain_postgres_lacks_are_made_by_two_databases_at_once(
        self, bare_server: PostgresServer
    ) -> None:
        assert run(bare_server.url, ROLES) == []
        with bare_server.database() as one, bare_server.database() as other, ThreadPoolExecutor(2) as pool:
            assert list(pool.map(migrations.migrate, [one, other])) == [ALL, ALL]
        assert run(bare_server.url, ROLES) == ["anon", "authenticated", "service_role"]

    def test_where_they_are_an_ordinary_owner_migrates_and_works(
        self, postgres_server: PostgresServer, empty_database: str
    ) -> None:
        assert len(run(postgres_server.url, ROLES)) == 3
        owner = ordinary_owner(empty_database, "late_owner")
        try:
            assert migrations.migrate(owner) == ALL
            with closing(Store.over(DirectTransport(owner, 1))) as store:
                assert store.leases.acquire(name="scheduler", holder="a", ttl_seconds=30, info={}).held
        finally:
            run(empty_database, "reassign owned by late_owner to postgres")
            run(empty_database, "drop owned by late_owner; drop role late_owner")


def ordinary_owner(database: str, name: str) -> str:
    """The URL of ``database`` for its new owner, a role with no power of its own."""
    dbname = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    assert isinstance(dbname, str)
    with psycopg.connect(database, autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("create role {} login password {}").format(role, sql.Literal(PASSWORD)))
        connection.execute(sql.SQL("alter database {} owner to {}").format(sql.Identifier(dbname), role))
    return url_of(database, user=name, password=PASSWORD)
