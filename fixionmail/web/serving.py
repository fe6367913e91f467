"""``fixionmail run web``: the application behind uvicorn, and in fallback mode the whole deployment beside it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fixionmail.errors import SettingsError, UnreachableError
from fixionmail.jobs.worker.connections import commands_sent
from fixionmail.loops import service
from fixionmail.loops.presence import present
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.settings import Settings
from fixionmail.store import Store, migrations, open_store
from fixionmail.web.app import Site, create_app
from fixionmail.web.guard import MOST_HEAD_BYTES
from fixionmail.web.rates import Rates
from fixionmail.web.threads import Threads
from fixionmail.web.webhooks import Signatures

PATIENCE_SECONDS = 1.0
CALL_SECONDS = 3.0
"""How long a call is tried again, and how long each try may take: a client would rather hear of an outage."""
CONNECTIONS = 4
MOST_CONNECTIONS = 2000
HEAD_SECONDS = 10.0
"""How long a client may take for the head of a request."""
CLOSE_SECONDS = 10
UNSUBSCRIBE_RATE, UNSUBSCRIBE_BURST = 10.0, 60
"""Requests a second of one client. Mail clients unsubscribe through a few addresses of their own."""

_log = structlog.get_logger("fixionmail.web")


def run_web(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        SettingsError: a setting is wrong, or the port is taken.
        FixionMailError: the database cannot be used at the start.
    """
    with service.stop_on_signals() as stop, served(settings, ended=stop.set) as failed:
        stop.wait()
        return 1 if failed.is_set() else 0


@contextmanager
def served(settings: Settings, *, ended: Callable[[], object] = lambda: None) -> Iterator[threading.Event]:
    """Serve while inside. Without Redis this one process is the whole deployment: it runs both loops and does the work.

    Args:
        settings: what to serve.
        ended: called should the server end by itself; what is yielded is then set.

    Raises:
        SettingsError: a setting is wrong, or the port is taken.
        FixionMailError: the database cannot be used.
    """
    url = service.redis_to_use(settings)
    with ExitStack() as stack:
        listener = stack.enter_context(_listening(settings.port))
        store = stack.enter_context(
            open_store(
                settings,
                max_connections=CONNECTIONS,
                patience_seconds=PATIENCE_SECONDS,
                call_seconds=CALL_SECONDS,
            )
        )
        site = stack.enter_context(_site(settings, store, url))
        if url is None:
            stack.enter_context(service.hosting(settings))
        info = {"port": settings.port, "hosts_loops": url is None}
        stack.enter_context(present(store.leases, "web", lambda: {**info, "redis_commands": commands_sent()}))
        server = uvicorn.Server(_configuration(settings, site))
        yield stack.enter_context(_running(server, listener, ended))


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket on all addresses, IPv6 included where there is any."""
    both = socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            ("::" if both else "0.0.0.0", port),
            family=socket.AF_INET6 if both else socket.AF_INET,
            dualstack_ipv6=both,
            backlog=2048,
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(f"PORT {port} cannot be listened on: {reason}.") from None
    with listener:
        yield listener


@contextmanager
def _site(settings: Settings, store: Store, url: str | None) -> Iterator[Site]:
    secret = settings.resend_webhook_secret
    threads = Threads()
    observer = Observer(redis_url=url, settings=settings, store=store)
    try:
        yield Site(
            base_url=settings.app_base_url.get_secret_value(),
            store=store,
            look=partial(_look, observer),
            check=partial(migrations.require_current, store.transport),
            signatures=Signatures(secret.get_secret_value()) if secret else None,
            threads=threads,
            unsubscribe_rates=Rates(UNSUBSCRIBE_RATE, UNSUBSCRIBE_BURST),
        )
    finally:
        threads.close()
        observer.close()


def _look(observer: Observer) -> Snapshot:
    """The deployment now; without its database nothing is worth telling."""
    seen = observer.look()
    if seen.database.error:
        raise UnreachableError(seen.database.error)
    return seen


def _configuration(settings: Settings, site: Site) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(site),
        http=_PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # it would write down unsubscribe tokens
        server_header=False,
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=CLOSE_SECONDS,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
    )


@contextmanager
def _running(
    server: uvicorn.Server, listener: socket.socket, ended: Callable[[], object]
) -> Iterator[threading.Event]:
    """Run the server in a thread of its own, which leaves the signals alone."""
    failed = threading.Event()

    def serve() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            if not server.should_exit:
                failed.set()
                ended()

    thread = threading.Thread(target=serve, name="uvicorn")
    thread.start()
    _log.info("serving", port=listener.getsockname()[1])
    try:
        yield failed
    finally:
        server.should_exit = True
        thread.join()


class _PatientProtocol(H11Protocol):
    """uvicorn's, which gives up on a client that does not finish the head of its request."""

    _head_ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Go on waiting while the head is not complete."""
        super().data_received(data)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._head_done()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._head_done()
        elif self._head_ends is None:
            self._head_ends = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_done(self) -> None:
        if self._head_ends is not None:
            self._head_ends.cancel()
            self._head_ends = None
