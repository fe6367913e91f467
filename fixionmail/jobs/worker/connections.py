"""Redis clients for the worker's threads: no hidden retries, dead links noticed within a minute."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry


class _Sent:
    """How many commands this process has sent; connections of several threads count together."""

    def __init__(self) -> None:
        self.commands = 0
        self._lock = threading.Lock()

    def add(self, commands: int) -> None:
        with self._lock:
            self.commands += commands


_SENT = _Sent()


def commands_sent() -> int:
    """How many commands the clients of this process have sent, greetings included; a hosted server bills each."""
    return _SENT.commands


class _Counted:
    """Counts what a connection sends; mixed into redis-py's classes of connections."""

    def send_command(self, *arguments: Any, **options: Any) -> Any:
        _SENT.add(1)
        return super().send_command(*arguments, **options)  # type: ignore[misc]

    def pack_commands(self, commands: Iterable[Any]) -> Any:
        batch = list(commands)
        _SENT.add(len(batch))
        return super().pack_commands(batch)  # type: ignore[misc]


class _Tcp(_Counted, Connection):
    """redis://"""


class _Tls(_Counted, SSLConnection):
    """rediss://"""


class _Socket(_Counted, UnixDomainSocketConnection):
    """unix://"""


_COUNTED: dict[type[Any], type[Any]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Socket,
}

_KEEPALIVE = {
    name: value
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if (name := getattr(socket, option, None)) is not None
}


def connect(url: str, *, reply_timeout: float = 10.0, connect_timeout: float = 5.0) -> Redis:
    """A client whose commands are sent once.

    A resent claim would orphan the jobs of the first, so redis-py's own retries are off. Neither does it greet the
    server with its name and version: every command is billed.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        reply_timeout: Seconds to wait for an answer; more than any blocking command waits.
        connect_timeout: Seconds to wait until the server takes the connection.
    """
    options: dict[str, Any] = {
        "socket_timeout": reply_timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "driver_info": None,
    }
    if not url.startswith("unix:"):
        options |= {
            "socket_connect_timeout": connect_timeout,
            "socket_keepalive": True,
            "socket_keepalive_options": _KEEPALIVE,
        }
    client = Redis.from_url(url, **options)
    pool = client.connection_pool
    pool.connection_class = _COUNTED[pool.connection_class]
    return client
