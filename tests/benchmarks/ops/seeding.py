"""A large deployment, written into an empty Redis in the layout of rq 3.0 by a script of its own."""

from __future__ import annotations

import base64
import pickle
import random
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis import Redis

QUEUES = ("emails", "stories", "images", "reports", "imports", "cleanup")
CHUNK = 2000
WORKERS = 50
_SHARES = {"queued": 0.50, "finished": 0.25, "failed": 0.15, "scheduled": 0.05, "deferred": 0.05}
_PAYLOAD = zlib.compress(pickle.dumps(("shop.tasks.work", None, ("an-id",), {})))
"""As rq writes it without being told otherwise; rq-dashboard reads nothing else."""
_SCRIPT = Path(__file__).with_name("seed.lua").read_text()


def seed(client: Redis, jobs: int, now: datetime) -> None:
    """Write ``jobs`` jobs over six queues in all states, and 50 busy workers."""
    per_queue = jobs // len(QUEUES)
    errors = [_packed(text) for text in tracebacks(500)]
    payload = _PAYLOAD
    script = client.register_script(_SCRIPT)
    for queue in QUEUES:
        for what, share in _SHARES.items():
            count = int(per_queue * share)
            for first in range(0, count, CHUNK):
                script(
                    args=[
                        *(what, queue, first, min(CHUNK, count - first)),
                        *(_registry_time(what, now), _text(now), _text(now - timedelta(hours=1)), payload),
                        *(errors if what == "failed" else ()),
                    ]
                )
    _workers(client, now)


def tracebacks(count: int) -> list[str]:
    """Tracebacks of a dozen kinds, each with other ids and numbers in it."""
    kinds = (
        "TimeoutError: the provider did not answer within {n} seconds",
        "ValueError: story {id} has no title",
        "KeyError: 'user-{n}'",
        "ConnectionError: connection to 10.0.0.{n}:5432 refused",
        "OSError: [Errno 2] No such file or directory: '/data/uploads/{id}/page-{n}.png'",
        "RuntimeError: job {id} took {n}.{n} s",
        "httpx.HTTPStatusError: Server error '503' for url 'https://api.example.com/v1/items/{n}'",
        "ZeroDivisionError: division by zero",
        "PermissionError: subscriber {n} may not read {id}",
        "json.decoder.JSONDecodeError: Expecting value: line {n} column 1 (char 0)",
        "psycopg.errors.UniqueViolation: duplicate key ({id}) already exists",
        "MemoryError",
    )
    chance = random.Random(7)
    frames = "".join(
        f'  File "/srv/app/shop/step{n}.py", line {n * 7}, in step{n}\n    step()\n' for n in range(12)
    )
    return [
        f"Traceback (most recent call last):\n{frames}"
        + kinds[at % len(kinds)].format(n=chance.randrange(1, 250), id=f"{chance.getrandbits(64):016x}")
        for at in range(count)
    ]


def _packed(text: str) -> bytes:
    return base64.b64encode(zlib.compress(text.encode()))


def _registry_time(what: str, now: datetime) -> float:
    """What rq scores the registry by: an expiry, a time to run, or a moment that has passed."""
    lifetimes = {"finished": 86_400, "failed": 31_536_000, "scheduled": 3600}
    return now.timestamp() + lifetimes.get(what, -3600)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _workers(client: Redis, now: datetime) -> None:
    pipeline: Any = client.pipeline(transaction=False)
    for number in range(WORKERS):
        queue, name = QUEUES[number % len(QUEUES)], f"worker-{number:02d}"
        job_id, execution = f"running-{number:02d}", f"{number:032x}"
        key, member = f"rq:worker:{name}", f"{job_id}:{execution}"
        pipeline.sadd("rq:workers", key)
        pipeline.sadd(f"rq:workers:{queue}", key)
        pipeline.hset(
            key,
            mapping={
                "birth": _text(now),
                "last_heartbeat": _text(now),
                "queues": queue,
                "pid": 1000 + number,
                "hostname": f"host-{number % 5}",
                "version": "3.0.0",
                "state": "busy",
                "ip_address": "",
            },
        )
        pipeline.expire(key, 480)
        pipeline.sadd(f"{key}:executions", member)
        pipeline.zadd(f"rq:wip:{queue}", {member: int(now.timestamp()) + 90})
        pipeline.hset(
            f"rq:execution:{member}",
            mapping={
                "id": execution,
                "job_id": job_id,
                "created_at": now.timestamp(),
                "last_heartbeat": now.timestamp(),
                "worker_name": name,
            },
        )
        pipeline.zadd(f"rq:executions:{job_id}", {execution: now.timestamp() + 150})
        pipeline.hset(
            f"rq:job:{job_id}",
            mapping={
                "status": "started",
                "origin": queue,
                "started_at": _text(now),
                "worker_name": name,
                "description": "shop.tasks.work()",
                "timeout": 180,
                "enqueued_at": _text(now),
                "data": _PAYLOAD,
            },
        )
    pipeline.execute()
