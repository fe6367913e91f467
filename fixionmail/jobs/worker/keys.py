"""Redis key names: rq's own, with its configurable prefix, and ours, which start with ``fm:``."""

from __future__ import annotations

import os

PREFIX = os.environ.get("RQ_KEY_PREFIX", "rq")
"""The same variable, read in the same way, as ``rq.defaults`` does; rq validates it when it is imported."""

PAUSED = "fm:paused"
"""Hash: queue name -> JSON with who paused it, why and when."""

WAKE_CHANNEL = "fm:wake"
"""Publishing here makes every worker look at its queues again."""


def worker(name: str) -> str:
    return f"{PREFIX}:worker:{name}"


def queue(name: str) -> str:
    return f"{PREFIX}:queue:{name}"


def leases(queue_name: str) -> str:
    return f"{PREFIX}:wip:{queue_name}"


def job(job_id: str) -> str:
    return f"{PREFIX}:job:{job_id}"


def command_channel(worker_name: str) -> str:
    return f"{PREFIX}:pubsub:{worker_name}"


def stats(queue_name: str, minute: int) -> str:
    """Counters of one queue in one minute (Unix time divided by 60); they expire after two hours."""
    return f"fm:stats:{queue_name}:{minute}"
