"""The local Redis: the bundled Valkey, or else a server found on this machine, under ``FIXIONMAIL_HOME``.

It keeps an append-only file, listens on 127.0.0.1 alone and asks for the password kept in ``<home>/redis``.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from fixionmail.engine import LOCALHOST, PORT_TAKEN, Engine, make_secret, write_private
from fixionmail.errors import EngineError, InputError, SettingsError
from fixionmail.processes import redis_program
from fixionmail.program import Command
from fixionmail.redis_guard import guarded

GREETING_SECONDS = 5.0
PROBE_SECONDS = 1.0  # for a stranger, who may never answer
PORT_OF_REDIS = 6379
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class LocalRedis:
    """A local Redis that is up; ``url`` holds its password, ``engine`` says what it is and where it came from."""

    url: str = field(repr=False)
    port: int
    pid: int
    engine: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a local Redis shall listen, and the password it shall ask for; none when empty."""

    port: int
    password: str = field(repr=False)


@contextmanager
def embedded_redis(home: Path) -> Iterator[str]:
    """Use the Redis of ``home``, shared with every other process that does; yields its URL.

    The first user starts the server; the last one to leave stops it, unless :func:`start` asked it to stay.

    Raises:
        EngineError: the server cannot be started or stopped; the message says why and what to do.
    """
    server = _server(home)
    with Engine(server.folder, server).use() as running:
        yield server.url(running.port)


def running_url(home: Path) -> str | None:
    """The URL of this home's Redis when it is up. Starts and writes nothing.

    Raises:
        EngineError: the home belongs to somebody else.
    """
    server = _server(home)
    running = Engine(server.folder, server).running()
    return server.url(running.port) if running else None


def start(home: Path, *, port: int | None = None) -> LocalRedis:
    """Start the Redis of ``home``, unless it runs, and let it stay until :func:`stop`.

    Args:
        home: the folder under which its data is kept.
        port: where it must listen; without one, where it listened last time or wherever there is room.

    Raises:
        EngineError: it cannot be started, the port is taken (the message says by whom), or it already runs on
            another port.
        InputError: there is no such port.
    """
    server = _server(home)
    engine = Engine(server.folder, server)
    if port is not None and engine.running() is None:
        check_port_free(port)
    running = engine.start(port)
    engine_name = server.about(running.port)
    return LocalRedis(url=server.url(running.port), port=running.port, pid=running.pid, engine=engine_name)


def stop(home: Path) -> bool:
    """Stop the Redis of ``home``, whoever uses it; says whether one was running.

    Raises:
        EngineError: it does not end.
    """
    server = _server(home)
    return Engine(server.folder, server).stop()


def engine_of(home: Path, place: Place | None = None) -> Engine:
    """The engine of this home's Redis, for whoever supervises it; with the password of ``place``, if there is one."""
    server = _server(home, place.password if place else None)
    return Engine(server.folder, server)


def about(home: Path) -> LocalRedis | None:
    """This home's Redis when it is up, in its own words.

    Raises:
        EngineError: it does not serve us.
    """
    server = _server(home)
    running = Engine(server.folder, server).running()
    if running is None:
        return None
    return LocalRedis(
        url=server.url(running.port), port=running.port, pid=running.pid, engine=server.about(running.port)
    )


def place_of(url: str) -> Place | None:
    """Where a local Redis must be to be the one that ``url`` names; None when that is not on this machine.

    Raises:
        SettingsError: no local Redis can be what the URL says.
    """
    parts = urlsplit(url)
    if parts.hostname not in _HERE or parts.scheme == "unix":
        return None
    if parts.scheme == "rediss":
        raise SettingsError("REDIS_URL asks for TLS, which a local Redis does not speak: write redis://.")
    if parts.username not in (None, "", "default"):
        raise SettingsError(
            "REDIS_URL names a user; a local Redis knows the user default alone: leave it out."
        )
    return Place(port=parts.port or PORT_OF_REDIS, password=unquote(parts.password or ""))


def check_port_free(port: int) -> None:
    """Make sure that a server can listen on ``port`` of 127.0.0.1.

    Raises:
        EngineError: it is taken, or this user may not have it; the message says who answers there.
        InputError: there is no such port.
    """
    if not 0 < port < 2**16:
        raise InputError(f"{port} is no port: choose one from 1024 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except PermissionError:
            raise EngineError(f"Port {port} is reserved for root: choose one from 1024 to 65535.") from None
        except OSError:
            raise EngineError(f"Port {port} is taken by {_listener(port)}. {_advice(port)}") from None


@dataclass(frozen=True, kw_only=True)
class _Valkey:
    """How a Valkey or Redis lives in ``folder``; the Server of its Engine."""

    folder: Path
    title: str = "Redis"
    stop_signal: signal.Signals = signal.SIGTERM
    ready_line: str = "eady to accept connections"
    passing_troubles: Sequence[str] = (PORT_TAKEN, "port is already allocated")
    password: str | None = field(default=None, repr=False)

    def url(self, port: int) -> str:
        password = quote(self._password.read_text(), safe="")
        return f"redis://{f':{password}@' if password else ''}{LOCALHOST}:{port}/0"

    def prepare(self) -> None:
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)
        redis_program.clear_remains(self.folder)
        if self.password is not None:
            write_private(self._password, self.password)
        elif not self._password.exists() or not self._password.read_text():
            make_secret(self._password)

    def command(self, port: int) -> Command:
        return redis_program.command(self.folder, port, self._password.read_text())

    def greet(self, port: int) -> None:
        self.about(port)

    def about(self, port: int) -> str:
        """What the running server says it is: its name, its version and where it came from."""
        try:
            with _connection(self.url(port), GREETING_SECONDS) as connection:
                said = connection.info("server")
        except redis.RedisError as error:
            raise EngineError(f"Redis in {self.folder} runs, but does not serve us: {error}") from error
        name, version = (
            ("Valkey", "valkey_version") if "valkey_version" in said else ("Redis", "redis_version")
        )
        came_from = redis_program.came_from(said["executable"], said["config_file"])
        return f"{name} {said[version]} ({came_from})"

    @property
    def _password(self) -> Path:
        return self.folder / "password"


def _server(home: Path, password: str | None = None) -> _Valkey:
    return _Valkey(folder=home.absolute() / "redis", password=password)


def asking(url: str, seconds: float) -> redis.Redis:
    """A client for one question to whoever listens there, who must begin to answer within so many seconds."""
    client = redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # the newer one's greeting takes any answer for what it should be
    )
    return guarded(client, answer_seconds=2 * seconds)


def _connection(url: str, seconds: float) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds)


def _listener(port: int) -> str:
    """Who listens on a port, as far as the system tells us."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.pid
                and connection.status == psutil.CONN_LISTEN
                and connection.laddr[1:2] == (port,)
            ):
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another program"


def _advice(port: int) -> str:
    try:
        with asking(f"redis://{LOCALHOST}:{port}", PROBE_SECONDS) as connection:
            connection.ping()
    except redis.AuthenticationError:
        return "It is a Redis with another password: name it with REDIS_URL, or choose another port."
    except redis.RedisError:
        return "Choose another port."
    return f"It is a Redis without a password: REDIS_URL=redis://{LOCALHOST}:{port}/0 uses it; or choose another port."
