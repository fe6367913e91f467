"""The truth: every rule about jobs and deliveries is a database function, called from here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fixionmail.errors import UnreachableError
from fixionmail.store.decisions import Decisions
from fixionmail.store.deliveries import Deliveries
from fixionmail.store.incoming import Incoming
from fixionmail.store.jobs import StoryJobs
from fixionmail.store.leases import Leases
from fixionmail.store.mail import MailLine
from fixionmail.store.operations import Operations
from fixionmail.store.repairs import Repairs
from fixionmail.store.subscribers import Subscribers
from fixionmail.store.transport import CALL_TIMEOUT_SECONDS, Caller, Transport
from fixionmail.store.writing import Writing

if TYPE_CHECKING:
    from fixionmail.settings import Settings

PATIENCE_SECONDS = 8.0
"""How long a call is tried again while the database does not answer; below every lease."""


@dataclass(frozen=True)
class Store:
    """All database functions, by subject. One method is one function is one transaction.

    Every method raises :class:`~fixionmail.errors.DatabaseUnreachableError` when there is no answer within the
    patience, and the other database errors of :mod:`fixionmail.errors` at once.
    """

    transport: Transport
    leases: Leases
    jobs: StoryJobs
    decisions: Decisions
    deliveries: Deliveries
    subscribers: Subscribers
    incoming: Incoming
    writing: Writing
    operations: Operations
    repairs: Repairs
    _call: Caller

    @classmethod
    def over(cls, transport: Transport, patience_seconds: float = PATIENCE_SECONDS) -> Store:
        """A store that calls through ``transport``."""
        call = Caller(transport, patience_seconds)
        return cls(
            transport=transport,
            leases=Leases(call),
            jobs=StoryJobs(call),
            decisions=Decisions(call),
            deliveries=Deliveries(call),
            subscribers=Subscribers(call),
            incoming=Incoming(call),
            writing=Writing(call),
            operations=Operations(call),
            repairs=Repairs(call),
            _call=call,
        )

    def mail_line(self, name: str, start_rate: float) -> MailLine:
        """The line to the mail provider ``name``; ``start_rate`` in requests a second until it has answered."""
        return MailLine(self._call, name, start_rate)

    def close(self) -> None:
        """Give back connections."""
        self.transport.close()


@contextmanager
def open_store(
    settings: Settings,
    *,
    max_connections: int = 4,
    patience_seconds: float = PATIENCE_SECONDS,
    call_seconds: float = CALL_TIMEOUT_SECONDS,
) -> Iterator[Store]:
    """The store that the settings name; without any, a bundled Postgres in FIXIONMAIL_HOME.

    The bundled one is migrated first. ``patience_seconds``: how long a call is tried again; ``call_seconds``: how
    long each try may take.

    Raises:
        DatabaseOutdatedError: migrations are missing.
        DatabaseNewerError: the database belongs to a newer FixionMail.
        UnreachableError, DatabaseRefusedError, EngineError: it cannot be used, and why.
    """
    from fixionmail.store import migrations

    with database_url(settings) as url:
        if url is None:
            from fixionmail.store.rpc import RpcTransport

            transport: Transport = RpcTransport.from_settings(
                settings, max_connections, call_seconds=call_seconds
            )
        else:
            from fixionmail.store.direct import DirectTransport

            if settings.database_url is None:
                migrations.migrate(url)
            transport = DirectTransport(url, max_connections, call_seconds=call_seconds)
        try:
            migrations.require_current(transport)
            yield Store.over(transport, patience_seconds)
        finally:
            transport.close()


@contextmanager
def database_url(settings: Settings) -> Iterator[str | None]:
    """The Postgres that the settings name or the bundled one (running within); None for Supabase over HTTPS."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    elif settings.supabase_url is not None:
        yield None
    else:
        from fixionmail.store.embedded import embedded_postgres

        with embedded_postgres(settings.home) as url:
            yield url


def rests(settings: Settings) -> bool:
    """No database is named, and the bundled one does not run."""
    from fixionmail.store import embedded

    named = settings.database_url is not None or settings.supabase_url is not None
    return not named and embedded.running_url(settings.home) is None


def require_made(settings: Settings) -> None:
    """Keep a question from making a bundled Postgres; one that rests may be started to answer it.

    Raises:
        UnreachableError: no database is named, and none was made.
    """
    from fixionmail.store import embedded

    if not embedded.is_made(settings.home):
        require_running(settings)


def require_running(settings: Settings) -> None:
    """Keep whoever only looks from starting the bundled Postgres, which would make one where there is none.

    Raises:
        UnreachableError: the database rests.
    """
    if rests(settings):
        raise UnreachableError(
            f"Nothing runs in {settings.home}: start it with fixionmail up, or set DATABASE_URL."
        )
