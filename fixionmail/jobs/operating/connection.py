"""Redis clients for operators: whoever waits is told in time, and what is no Redis is not taken for one."""

from __future__ import annotations

import secrets
import socket
import threading
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fixionmail.jobs.worker.connections import connect

_WHOLE_ANSWER = 2
"""Reply timeouts that an answer may take from its beginning to its end."""


def connect_operator(url: str, *, reply_timeout: float, connect_timeout: float = 5.0) -> Redis:
    """A client as :func:`~fixionmail.jobs.worker.connections.connect` makes it, for servers of any kind.

    Connecting takes one command more. All may also raise ``redis.exceptions.InvalidResponse``.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        reply_timeout: Seconds to wait for an answer to begin or go on; it must be whole after twice as many.
        connect_timeout: Seconds to wait until the server takes the connection.
    """
    client = connect(url, reply_timeout=reply_timeout, connect_timeout=connect_timeout)
    pool = client.connection_pool
    limits = {"limit": _WHOLE_ANSWER * reply_timeout}
    pool.connection_class = type("Operators", (_Operators, pool.connection_class), limits)
    return client


class _Operators:
    """Mixed into redis-py's classes of connections."""

    limit: float
    """Seconds for a whole answer."""
    _sock: socket.socket

    def on_connect_check_health(self, *arguments: Any, **options: Any) -> None:
        super().on_connect_check_health(*arguments, **options)  # type: ignore[misc]
        self._require_redis()

    def _require_redis(self) -> None:
        """Only a Redis says a word again that nobody can guess, or refuses to in Redis's own form."""
        word = secrets.token_hex(8)
        self.send_command("PING", word, check_health=False)  # type: ignore[attr-defined]
        with suppress(ResponseError):
            answer = self.read_response()
            if answer != word.encode():
                raise InvalidResponse("PING is answered by something else")

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """A socket's timeout is for each of its reads, so that an answer in small pieces would have no end."""
        is_over = threading.Event()
        timer = threading.Timer(self.limit, _hang_up, (self._sock, is_over))
        timer.daemon = True
        timer.start()
        try:
            return super().read_response(*arguments, **options)  # type: ignore[misc]
        except RedisError:
            if is_over.is_set():
                raise RedisTimeoutError(f"no whole answer within {self.limit:g} s") from None
            raise
        finally:
            timer.cancel()


def _hang_up(link: socket.socket, is_over: threading.Event) -> None:
    is_over.set()
    with suppress(OSError):
        socket.socket.shutdown(link, socket.SHUT_RDWR)  # TLS's own would change what the reading thread uses
