"""Makes ``changes.json`` beside this file again: what a real rq 2.12 makes of the jobs in ``keys.json``.

In an environment of its own with ``pip install rq==2.12.0``, against an empty Redis that may be overwritten:

    python record_changes.py redis://127.0.0.1:6399
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import rq
from redis import Redis
from rq.job import Job

CHANGES = {
    "requeue": ("broken",),
    "cancel": ("broken", "later", "next", "second", "tomorrow", "waiting"),
    "delete": ("broken", "later", "next", "second", "sum", "tomorrow", "unwanted", "waiting"),
}


def main() -> None:
    assert rq.__version__ == "2.12.0", rq.__version__  # type: ignore[attr-defined, unused-ignore]
    redis = Redis.from_url(sys.argv[1])
    left = {}
    for change, ids in CHANGES.items():
        redis.flushall()
        restore(redis)
        for job_id in ids:
            getattr(Job.fetch(job_id, connection=redis), change)()
        left[change] = {"ids": ids, "leaves": places(redis)}
    Path(__file__).with_name("changes.json").write_text(json.dumps(left, indent=1) + "\n")


def restore(redis: Any) -> None:
    """Put back what was recorded."""
    for key, recorded in json.loads(Path(__file__).with_name("keys.json").read_text()).items():
        match recorded["type"], recorded["value"]:
            case "hash", value:
                redis.hset(
                    key, mapping={field.encode("latin-1"): raw.encode("latin-1") for field, raw in value}
                )
            case "zset", value:
                redis.zadd(key, dict(value))
            case "list", value:
                redis.rpush(key, *value)
            case "set", value:
                redis.sadd(key, *value)
            case "stream", value:
                for at, fields in value:
                    redis.xadd(key, dict(fields), id=at)
            case _, value:
                redis.set(key, value)


def places(redis: Any) -> dict[str, Any]:
    """Each job's status, and who is in each list, registry and set; other keys by their names."""
    found: dict[str, Any] = {}
    for raw in sorted(redis.scan_iter()):
        key = raw.decode()
        match redis.type(raw):
            case b"hash" if key.startswith("rq:job:"):
                found[key] = redis.hget(raw, "status").decode()
            case b"zset":
                found[key] = sorted(member.decode() for member in redis.zrange(raw, 0, -1))
            case b"list":
                found[key] = [member.decode() for member in redis.lrange(raw, 0, -1)]
            case b"set":
                found[key] = sorted(member.decode() for member in redis.smembers(raw))
            case _:
                found[key] = "there"
    return found


if __name__ == "__main__":
    main()
