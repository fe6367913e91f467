"""Makes ``keys.json`` beside this file again: what a real rq 2.12 leaves in Redis.

In an environment of its own with ``pip install rq==2.12.0``, against an empty Redis that may be overwritten:

    python record.py redis://127.0.0.1:6399
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import rq
from redis import Redis
from rq import Queue, Retry, SimpleWorker


def main() -> None:
    assert rq.__version__ == "2.12.0", rq.__version__  # type: ignore[attr-defined, unused-ignore]
    redis = Redis.from_url(sys.argv[1])
    redis.flushall()
    mails, reports = Queue("mails", connection=redis), Queue("reports", connection=redis)
    mails.enqueue("operator.add", 2, 3, job_id="sum")
    mails.enqueue("operator.truediv", 1, 0, job_id="broken", meta={"try": 1})
    mails.enqueue("operator.truediv", 2, 0, job_id="later", retry=Retry(max=2, interval=3600))
    first = reports.enqueue("time.sleep", 5, job_id="first", job_timeout=600)
    reports.enqueue("operator.add", 1, 1, job_id="second", depends_on=first)
    worker = SimpleWorker([mails], connection=redis, name="old-worker")
    worker.hostname = "old-host"
    worker.work(burst=True)
    mails.enqueue("operator.add", 1, 1, job_id="waiting", description="adds up")
    mails.enqueue_in(timedelta(days=1), "operator.add", 1, 1, job_id="tomorrow")
    mails.enqueue("operator.add", 1, 1, job_id="unwanted").cancel()
    redis.lmove("rq:queue:mails", "rq:queue:mails:intermediate")  # a worker took "waiting" and was killed
    mails.enqueue("operator.add", 4, 4, job_id="next")
    worker = SimpleWorker([reports], connection=redis, name="busy-worker")
    worker.hostname, worker.pid = "old-host", 4242
    worker.register_birth()
    job, _ = reports.dequeue_any([reports], None, connection=redis)
    worker.prepare_execution(job)
    worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
    Path(__file__).with_name("keys.json").write_text(json.dumps(_keys(redis), indent=1) + "\n")


def _keys(redis: Any) -> dict[str, Any]:
    """Every key with its value, bytes as Latin-1, and how long it lives."""
    return {
        key.decode(): {"ttl_ms": redis.pttl(key), **_value(redis, key)} for key in sorted(redis.scan_iter())
    }


def _value(redis: Any, key: bytes) -> dict[str, Any]:
    kind = redis.type(key).decode()
    read = {
        "hash": lambda: [[_text(field), _text(value)] for field, value in redis.hgetall(key).items()],
        "zset": lambda: [
            [_text(member), score] for member, score in redis.zrange(key, 0, -1, withscores=True)
        ],
        "list": lambda: [_text(item) for item in redis.lrange(key, 0, -1)],
        "set": lambda: sorted(_text(member) for member in redis.smembers(key)),
        "stream": lambda: [
            [_text(at), [[_text(field), _text(_elsewhere(field, value))] for field, value in entry.items()]]
            for at, entry in redis.xrange(key)
        ],
        "string": lambda: _text(redis.get(key)),
    }
    return {"type": kind, "value": read[kind]()}


def _elsewhere(field: bytes, value: bytes) -> bytes:
    """A traceback as it would be in an environment at ``/venv``."""
    if field != b"exc_string":
        return value
    text = zlib.decompress(base64.b64decode(value)).replace(sys.prefix.encode(), b"/venv")
    return base64.b64encode(zlib.compress(text))


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


if __name__ == "__main__":
    main()
