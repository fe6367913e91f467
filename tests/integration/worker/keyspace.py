"""All keys of a server as plain values, with what differs from run to run replaced."""

from __future__ import annotations

import re
import time
from math import ceil
from typing import Any

_ASIDE = ("fm:", "rq:clean_")
"""Our own keys, and the locks of rq's maintenance, which pass by."""

_OUR_FIELDS = b"fm_"
"""What we add to a worker's record: RQ's readers pass over it."""


def keyspace(redis: Any, worker_name: str) -> dict[str, Any]:
    """Every key of rq's with its value and whether it expires."""
    found = {}
    for raw in redis.scan_iter():
        key = raw.decode()
        if not key.startswith(_ASIDE):
            found[_plain(key, worker_name)] = (_value(redis, key, worker_name), redis.ttl(key) > 0)
    return found


def _value(redis: Any, key: str, worker_name: str) -> object:
    match redis.type(key):
        case b"hash":
            fields = redis.hgetall(key).items()
            return {
                _plain(k, worker_name): _field(k, v, worker_name)
                for k, v in fields
                if not k.startswith(_OUR_FIELDS)
            }
        case b"zset":
            return {_plain(member, worker_name): _when(score) for member, score in redis.zscan_iter(key)}
        case b"set":
            return {_plain(member, worker_name) for member in redis.smembers(key)}
        case b"list":
            return [_plain(item, worker_name) for item in redis.lrange(key, 0, -1)]
        case b"stream":
            return [
                {_plain(k, worker_name): _field(k, v, worker_name) for k, v in entry.items()}
                for _, entry in redis.xrange(key)
            ]
        case _:
            return redis.get(key)


def _field(name: bytes, value: bytes, worker_name: str) -> str:
    """Times and addresses are compared by shape only."""
    if name in (b"ip_address", b"total_working_time", b"exc_string"):
        return "present"
    return _plain(value, worker_name)


def _when(score: float) -> str:
    """A moment is compared by how many spans of two hours begin until then: what is meant is a lifetime.

    A lifetime is a number of whole seconds, which began a moment ago; so none is near a border.
    """
    return "inf" if score == float("inf") else f"{ceil((score - time.time() - 2) / 7200)}"


def _plain(value: bytes | str, worker_name: str) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    text = text.replace(worker_name, "WORKER")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME", text)
    text = re.sub(r"(?<![\w-])\d{10}\.\d+", "UNIX", text)
    return re.sub(r"[0-9a-f]{32}", "EXECUTION", text)
