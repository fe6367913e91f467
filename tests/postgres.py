"""A Postgres server for tests: real, fast, with a fresh database for whoever asks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from fixionmail.store import migrations
from fixionmail.store.embedded import embedded_postgres

_OPTIONS = "fsync=off synchronous_commit=off full_page_writes=off autovacuum=off max_wal_size=4GB"
_TEMPLATE = "migrated"


class PostgresServer:
    """A running server, and the databases made on it.

    Args:
        url: of a superuser and a database that tests leave alone.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._admin: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self._left: list[str] = []

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new copy of ``template``.

        It is dropped when the next one is made, whoever is still in it: dropping it at once would wait for the
        sessions that have just been closed.
        """
        while self._left:
            self._run("drop database {} with (force)", self._left.pop())
        name = f"test_{uuid4().hex}"
        self._run("create database {} template {}", name, template)
        yield url_of(self.url, database=name)
        self._left.append(name)

    @contextmanager
    def migrated_database(self) -> Iterator[str]:
        """As :meth:`database`, with our migrations; :meth:`make_template` must have been called."""
        with self.database(_TEMPLATE) as url:
            yield url

    def make_template(self) -> None:
        """Migrate the database that migrated ones are copied from."""
        self._run("create database {}", _TEMPLATE)
        migrations.migrate(url_of(self.url, database=_TEMPLATE))

    def close(self) -> None:
        """Let go of the server."""
        self._admin.close()

    def _run(self, statement: LiteralString, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of its own, with the programs that ``FIXIONMAIL_POSTGRES_BIN`` names or the bundled ones."""
    with (
        tempfile.TemporaryDirectory(prefix="fixionmail-tests-") as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("FIXIONMAIL_POSTGRES_OPTIONS", _OPTIONS)
        with embedded_postgres(Path(home)) as url:
            patch.undo()
            server = PostgresServer(url)
            try:
                yield server
            finally:
                server.close()


def url_of(url: str, *, database: str | None = None, user: str | None = None, password: str = "") -> str:
    """``url`` with another database or another login."""
    parts = urlsplit(url)
    login, host = parts.netloc.rsplit("@", 1)
    if user is not None:
        login = f"{user}:{password}"
    path = parts.path if database is None else f"/{database}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}", path=path))
