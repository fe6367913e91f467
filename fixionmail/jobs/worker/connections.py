"""Redis clients for the worker's threads: no hidden retries, dead links noticed within a minute."""

from __future__ import annotations

import socket
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

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
    return Redis.from_url(url, **options)
