"""A threaded worker for rq's queues: many jobs at once in one process, few Redis commands, only our own functions.

Importing this package is cheap; rq and redis are loaded when something that needs them is first used.

Keys beside rq's own (whose prefix ``RQ_KEY_PREFIX`` is honoured):

``fm:stats:<queue>:<minute>``
    Hash, one per queue and minute of Unix time (seconds / 60), expiring after two hours. Integers: ``enqueued``
    (by :func:`enqueue_many`), ``started``, ``finished``, ``failed`` (also stopped, refused and lost), ``retried``;
    ``wait_ms`` and ``run_ms`` are sums over the jobs that ended in this minute. Written in the same calls as the
    transitions they count.
``fm:paused``
    Hash: queue name -> JSON ``{"by", "reason", "since"}`` while a queue is paused.
``rq:worker:<name>`` field ``fm_drain``
    Present when an operator asked this worker to drain.
``fm:wake``
    Channel: whatever is published, all workers look at their queues again.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fixionmail.jobs.worker.context import ExecutionContext, current_execution
from fixionmail.jobs.worker.options import WorkerOptions

if TYPE_CHECKING:
    from fixionmail.jobs.worker.control import (
        QueuePause,
        drain_worker,
        pause_queue,
        paused_queues,
        resume_queue,
    )
    from fixionmail.jobs.worker.enqueue import EnqueueResult, NewJob, enqueue_many
    from fixionmail.jobs.worker.safejob import JsonSerializer, SafeJob
    from fixionmail.jobs.worker.worker import ThreadedWorker, run_worker

__all__ = [
    "EnqueueResult",
    "ExecutionContext",
    "JsonSerializer",
    "NewJob",
    "QueuePause",
    "SafeJob",
    "ThreadedWorker",
    "WorkerOptions",
    "current_execution",
    "drain_worker",
    "enqueue_many",
    "pause_queue",
    "paused_queues",
    "resume_queue",
    "run_worker",
]

_HOMES = {
    "control": ("QueuePause", "drain_worker", "pause_queue", "paused_queues", "resume_queue"),
    "enqueue": ("EnqueueResult", "NewJob", "enqueue_many"),
    "safejob": ("JsonSerializer", "SafeJob"),
    "worker": ("ThreadedWorker", "run_worker"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
