"""Brings a Postgres up to date: each migration in a transaction of its own, recorded with its checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg

from fixionmail.errors import DatabaseError, DatabaseNewerError, DatabaseOutdatedError
from fixionmail.store import takeover
from fixionmail.store.direct import connect, explained
from fixionmail.store.transport import Transport

_LOCK = 5_172_011_466  # any number, as long as it stays the same: one migration at a time per database
_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file of ``supabase/migrations``."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a database stands: what is applied, what is missing, what it has that we do not know."""

    applied: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    changed: tuple[str, ...]
    """Applied, but with another text than ours."""


def known_migrations() -> tuple[Migration, ...]:
    """All migrations of this FixionMail, in order: packed in an installed wheel, in the repository otherwise."""
    packed = files("fixionmail.store") / "sql"
    folder = packed if packed.is_dir() else Path(__file__).parents[2] / "supabase" / "migrations"
    found = [
        Migration(
            version=int(match[1]), name=entry.name.removesuffix(".sql"), sql=entry.read_text(encoding="utf-8")
        )
        for entry in folder.iterdir()
        if (match := _NAME.fullmatch(entry.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


def status(url: str) -> Status:
    """Compare the database with what this FixionMail knows; changes nothing.

    Raises:
        DatabaseUnreachableError, DatabaseRefusedError: it cannot be asked.
    """
    with _connected(url) as connection:
        return _compare(_applied(connection))


def status_through(transport: Transport) -> Status:
    """As :func:`status`, over a transport; one that lacks even the first migration lacks them all.

    Raises:
        DatabaseUnreachableError, DatabaseRefusedError: it cannot be asked.
    """
    try:
        return compare(transport.call("migrations_v1", {}))
    except DatabaseOutdatedError:
        return _compare({})


def migrate(url: str) -> tuple[str, ...]:
    """Apply what is missing; the names of what was applied. Safe to run twice, and by several processes at once.

    A database of the earlier FixionMail is taken over, whole or not at all.

    Raises:
        DatabaseNewerError: the database has migrations that we do not know; nothing was changed.
        DatabaseError: an applied migration differs from ours, or one failed (it left no trace; those before stay).
        DatabaseUnreachableError, DatabaseRefusedError: it cannot be reached.
    """
    with (
        _connected(url) as connection,
        connection.transaction() if _is_earlier(connection) else nullcontext(),
    ):
        return _apply_missing(connection)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What :func:`migrate` would do: the names of what it would apply, and what it would take over in numbers."""

    missing: tuple[str, ...]
    taken_over: Mapping[str, Any] | None


def plan(url: str) -> Plan:
    """Do what :func:`migrate` does, look, and undo all of it. Tables are locked meanwhile.

    Raises:
        As :func:`migrate`.
    """
    with _connected(url) as connection, connection.transaction(force_rollback=True):
        was_earlier = _is_earlier(connection)
        missing = _apply_missing(connection)
        return Plan(missing=missing, taken_over=_taken_over(connection) if was_earlier else None)


def taken_over(url: str) -> Mapping[str, Any] | None:
    """What was taken over from the earlier FixionMail, in numbers; None when there was nothing.

    Raises:
        DatabaseUnreachableError, DatabaseRefusedError: it cannot be asked.
    """
    with _connected(url) as connection:
        return _taken_over(connection)


def compare(rows: Sequence[Mapping[str, Any]]) -> Status:
    """As :func:`status`, by what ``migrations_v1`` answered."""
    return _compare(_by_version(rows))


def require_current(transport: Transport) -> None:
    """Refuse to work with a database that is behind or ahead of this FixionMail.

    Raises:
        DatabaseOutdatedError, DatabaseNewerError: which, and what to do.
    """
    found = compare(transport.call("migrations_v1", {}))
    _refuse_strangers(found)
    if found.missing:
        raise DatabaseOutdatedError(
            f"The database lacks {', '.join(found.missing)}: run fixionmail db migrate (see fixionmail db status)."
        )


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose errors are told in words."""
    try:
        with connect(url) as connection:
            yield connection
    except psycopg.Error as error:
        raise explained(error, url) from None


def _apply_missing(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    done = []
    found = _compare(_applied(connection))
    for migration in known_migrations() if found.missing else ():
        with connection.transaction():
            if _apply(connection, migration):
                done.append(migration.name)
    _refuse_strangers(_compare(_applied(connection)))
    takeover.schedule_all(connection, datetime.now(UTC))
    if done:
        connection.execute("notify pgrst, 'reload schema'")  # Supabase's PostgREST sees for itself
    return tuple(done)


def _is_earlier(connection: psycopg.Connection[Any]) -> bool:
    """Whether this database is one of the earlier FixionMail; ``001_users.sql`` asks the same."""
    row = connection.execute(
        "select to_regclass('public.scheduled_deliveries') is not null and exists (select from pg_attribute "
        "where attrelid = to_regclass('public.users') and attname = 'preferences' and not attisdropped)"
    ).fetchone()
    return bool(row and row[0])


def _taken_over(connection: psycopg.Connection[Any]) -> Mapping[str, Any] | None:
    row = connection.execute("select public.taken_over_v1()").fetchone()
    return row[0] if row else None


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> bool:
    """Within a transaction: apply one migration unless it is there; True when it was applied."""
    connection.execute("select pg_advisory_xact_lock(%s), set_config('search_path', 'public', true)", [_LOCK])
    applied = _applied(connection)
    _refuse_strangers(_compare(applied))
    if migration.version in applied:
        return False
    try:
        with takeover.loading(connection) if migration.name == takeover.MIGRATION else nullcontext():
            connection.execute(migration.sql)  # our own files, not a query built from data
        connection.execute(
            "select record_migration_v1(%s, %s, %s)", [migration.version, migration.name, migration.checksum]
        )
    except psycopg.OperationalError:
        raise  # not the migration's fault: the database went away
    except psycopg.Error as error:
        raise DatabaseError(
            f"Migration {migration.name} failed and was undone: {error.diag.message_primary or error}"
        ) from None
    return True


def _applied(connection: psycopg.Connection[Any]) -> dict[int, tuple[str, str]]:
    """Version -> (name, checksum) of what is recorded; empty for a database that was never migrated."""
    # Asked of the table: to_regproc may remember that there was none before we waited for somebody's migration.
    known = connection.execute(
        "select from pg_catalog.pg_proc where proname = 'migrations_v1' and pronamespace = 'public'::regnamespace"
    ).fetchone()
    if known is None:
        return {}
    row = connection.execute("select public.migrations_v1()").fetchone()
    return _by_version(row[0] if row else ())


def _by_version(rows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[str, str]]:
    return {row["version"]: (row["name"], row["checksum"]) for row in rows}


def _compare(applied: dict[int, tuple[str, str]]) -> Status:
    ours = {migration.version: migration for migration in known_migrations()}
    return Status(
        applied=tuple(applied[version][0] for version in sorted(applied)),
        missing=tuple(m.name for version, m in ours.items() if version not in applied),
        unknown=tuple(applied[version][0] for version in sorted(applied.keys() - ours.keys())),
        changed=tuple(
            m.name for version, m in ours.items() if version in applied and applied[version][1] != m.checksum
        ),
    )


def _refuse_strangers(found: Status) -> None:
    if found.unknown:
        raise DatabaseNewerError(
            f"The database was migrated by a newer FixionMail (it has {', '.join(found.unknown)}): "
            "use that version, or point DATABASE_URL at another database."
        )
    if found.changed:
        raise DatabaseError(
            f"The database was migrated with another text of {', '.join(found.changed)} than this FixionMail has."
        )
