"""The road to Postgres over its own protocol, through a pool of connections."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from fixionmail.errors import (
    DatabaseError,
    DatabaseOutdatedError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    FixionMailError,
)
from fixionmail.settings import masked_url
from fixionmail.store.transport import CALL_TIMEOUT_SECONDS, is_passing

CONNECT_TIMEOUT_SECONDS = 3
_STATEMENT_TIMEOUT = "8s"  # as on Supabase; the client gives up later than the server
_REFUSALS = ("28000", "28P01", "3D000", "42501")
_ABSENT = ("42883", "42P01", "3F000")


def connect(url: str) -> psycopg.Connection[Any]:
    """One connection in autocommit mode: each call is a transaction of its own.

    Raises:
        DatabaseUnreachableError: nobody answers.
        DatabaseRefusedError: wrong password, or no such database.
    """
    try:
        return psycopg.connect(url, **_CONNECTION)
    except psycopg.Error as error:
        raise explained(error, url) from None


_CONNECTION: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "application_name": "fixionmail",
    # A peer that vanished is noticed by the kernel, not by waiting for ever.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(CALL_TIMEOUT_SECONDS * 1000),
    # Poolers in transaction mode hand each call another session: nothing may be prepared in one.
    "prepare_threshold": None,
}


class _LimitedConnection(psycopg.Connection[Any]):
    """Gives up on a server that takes a call and then says nothing: the kernel still answers for it."""

    seconds = CALL_TIMEOUT_SECONDS

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Run ``gen``, which speaks with the server, for at most ``seconds``."""
        try:
            return super().wait(_limited(gen, self.seconds), *args, **options)
        except TimeoutError:
            self.close()  # what it may still answer belongs to nobody
            raise psycopg.OperationalError(f"no answer within {self.seconds:g} s") from None


def _limited(gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """``gen``, interrupted when it has waited for ``seconds``; the connection asks us several times a second."""
    ends_at = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > ends_at:
                raise TimeoutError
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "select set_config('statement_timeout', %s, false), set_config('idle_in_transaction_session_timeout', '60s', "
        "false), set_config('timezone', 'UTC', false), set_config('jit', 'off', false)",
        [_STATEMENT_TIMEOUT],
    )


class DirectTransport:
    """Calls functions with psycopg. Safe to use from many threads; calls queue for a connection.

    Args:
        url: libpq URL.
        max_connections: size of the pool.
        call_seconds: how long a call waits for a connection, and a server that has taken it may keep silent.
    """

    name = "postgres"

    def __init__(self, url: str, max_connections: int, *, call_seconds: float = CALL_TIMEOUT_SECONDS) -> None:
        self._url = url
        self._call_seconds = call_seconds
        connect(url).close()  # say at once, and in words, when nobody answers
        self._pool = ConnectionPool(
            url,
            min_size=1,
            max_size=max_connections,
            timeout=call_seconds,
            kwargs=_CONNECTION,
            connection_class=_LimitedConnection,
            configure=self._configure,
            reconnect_timeout=5.0,
            open=True,
        )

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """See :class:`~fixionmail.store.transport.Transport`."""
        names = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
        )
        query = sql.SQL("select {}({})").format(sql.Identifier("public", function), names)
        values = {
            name: Jsonb(value) if isinstance(value, dict | list) else value
            for name, value in arguments.items()
        }
        try:
            with self._pool.connection() as connection:
                row = connection.execute(query, values).fetchone()
        except (psycopg.Error, PoolTimeout) as error:
            if not isinstance(error, PoolTimeout) and (error.sqlstate or "57P").startswith("57P"):
                self._drop_dead()
            raise explained(error, self._url) from None
        return row[0] if row else None

    def _configure(self, connection: _LimitedConnection) -> None:
        _configure(connection)
        connection.seconds = self._call_seconds

    def _drop_dead(self) -> None:
        """One session has died, so others may have: do not make each call find that out for itself."""
        with suppress(psycopg.Error):
            self._pool.check()

    def close(self) -> None:
        """Close the pool; calls under way are finished first."""
        self._pool.close()


def explained(error: Exception, url: str) -> FixionMailError:
    """What went wrong, in words and without the password."""
    state = getattr(error, "sqlstate", None)
    diagnosis = getattr(error, "diag", None)
    text = (diagnosis.message_primary if diagnosis else None) or str(error).strip() or type(error).__name__
    where = masked_url(url)
    if isinstance(error, PoolTimeout):
        return DatabaseUnreachableError(f"Postgres at {where} does not answer: {text}.")
    if state in _REFUSALS or (state is None and "authentication failed" in text):
        return DatabaseRefusedError(f"Postgres at {where} refuses: {text}. Check DATABASE_URL.")
    if state is None and "does not exist" in text:
        return DatabaseRefusedError(
            f"Postgres at {where} refuses: {text.splitlines()[-1]}. Check DATABASE_URL."
        )
    if state in _ABSENT:
        return DatabaseOutdatedError(
            f"The database lacks what this FixionMail needs ({text}): run fixionmail db migrate."
        )
    if state is None or is_passing(state):
        return DatabaseUnreachableError(f"Postgres at {where} does not answer: {text.splitlines()[0]}.")
    return DatabaseError(f"Postgres reports {state}: {text}")
