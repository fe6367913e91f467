"""Redis clients for operators."""

from __future__ import annotations

from redis import Redis

from fixionmail.jobs.worker.connections import connect
from fixionmail.redis_guard import guarded


def connect_operator(url: str, *, reply_timeout: float, connect_timeout: float = 5.0) -> Redis:
    """A client as :func:`~fixionmail.jobs.worker.connections.connect` makes it, for servers of any kind.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        reply_timeout: Seconds to wait for an answer to begin or go on; it must be whole after twice as many.
        connect_timeout: Seconds to wait until the server takes the connection.
    """
    client = connect(url, reply_timeout=reply_timeout, connect_timeout=connect_timeout)
    return guarded(client, answer_seconds=2 * reply_timeout)
