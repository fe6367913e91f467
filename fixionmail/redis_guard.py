"""A guard for Redis clients of people: they are told in time, and what is no Redis is not taken for one."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.connection import DefaultParser
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError


def guarded(client: Redis, *, answer_seconds: float) -> Redis:
    """``client``, whose connections take one command more to make, and may also raise ``InvalidResponse``.

    Args:
        client: It has not connected yet.
        answer_seconds: How long an answer may take from its beginning to its end; one socket timeout more at most.
    """
    pool = client.connection_pool
    pool.connection_class = type("Guarded", (_OfARedis, pool.connection_class), {})
    pool.connection_kwargs["parser_class"] = type("InTime", (_InTime,), {"limit": answer_seconds})
    return client


class _OfARedis:
    """Mixed into redis-py's classes of connections."""

    def on_connect_check_health(self, *arguments: Any, **options: Any) -> None:
        super().on_connect_check_health(*arguments, **options)  # type: ignore[misc]
        self._require_redis()

    def _require_redis(self) -> None:
        """Only a Redis says a word again that nobody can guess, or refuses to in Redis's own form."""
        word = secrets.token_hex(8)
        self.send_command("PING", word, check_health=False)  # type: ignore[attr-defined]
        with suppress(ResponseError):
            answer = self.read_response()  # type: ignore[attr-defined]
            if answer != word.encode():
                raise InvalidResponse("it answers PING as no Redis does")


class _InTime(DefaultParser):  # type: ignore[misc, valid-type]
    """A socket's timeout is for each of its reads, so that an answer in small pieces would have no end.

    The default parser is that of hiredis, which we depend on; it asks for each piece by ``read_from_socket``.
    """

    limit: float
    """Seconds for a whole answer."""
    _until: float = 0.0

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        self._until = time.monotonic() + self.limit
        return super().read_response(*arguments, **options)

    def read_from_socket(self, *arguments: Any, **options: Any) -> Any:
        if time.monotonic() > self._until:
            raise RedisTimeoutError(f"no whole answer within {self.limit:g} s")
        return super().read_from_socket(*arguments, **options)
