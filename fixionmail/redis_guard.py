"""A guard for Redis clients of people: they are told in time, and what is no Redis is not taken for one."""

from __future__ import annotations

import secrets
import socket
import threading
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import InvalidResponse, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError


def guarded(client: Redis, *, answer_seconds: float) -> Redis:
    """``client``, whose connections take one command more to make, and may also raise ``InvalidResponse``.

    Args:
        client: It has not connected yet.
        answer_seconds: How long an answer may take from its beginning to its end.
    """
    pool = client.connection_pool
    pool.connection_class = type("Guarded", (_Guarded, pool.connection_class), {"limit": answer_seconds})
    return client


class _Guarded:
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
                raise InvalidResponse("it answers PING as no Redis does")

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
