"""Queueing many jobs with one command, writing what rq's own ``enqueue`` writes."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from redis import Redis

from fixionmail.errors import InputError
from fixionmail.jobs.worker import keys, scripts

PER_COMMAND = 1000
_JOB_ID = re.compile(r"[A-Za-z0-9_-]+")
_DESCRIPTION_LIMIT = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class NewJob:
    """A job to queue.

    Attributes:
        id: Letters, digits, ``_`` and ``-``; the same work always has the same id.
        function: Dotted path of a function in the worker's list.
        args: JSON values.
        kwargs: JSON values by name.
        timeout: Seconds it may run.
        result_ttl: Seconds its record is kept after success.
        failure_ttl: Seconds its record is kept after failure.
        retries: How often it is run again at once when it fails, or when its worker is lost.
    """

    id: str
    function: str
    args: Sequence[object] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    timeout: int = 180
    result_ttl: int = 500
    failure_ttl: int = 86_400
    retries: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class EnqueueResult:
    """Ids that were pushed, and ids that were already waiting or running."""

    pushed: tuple[str, ...]
    skipped: tuple[str, ...]


def enqueue_many(
    connection: Redis, queue: str, jobs: Sequence[NewJob], *, at_front: bool = False
) -> EnqueueResult:
    """Queue ``jobs``, one command per 1,000 of them.

    An id that waits in the queue or runs under a live lease is skipped. Any other record of that id is replaced:
    finished, failed, stopped or cancelled, started by a worker that is gone, or marked queued and yet in no list.

    Args:
        connection: Any client.
        queue: The queue's name.
        jobs: What to queue, in order.
        at_front: Before everything that waits; the last job is then the first to run.

    Raises:
        InputError: an id has characters rq does not allow.
        redis.exceptions.RedisError: Redis failed; jobs of the failing command may or may not be queued, and may be
            queued again without harm.
    """
    pushed: list[str] = []
    skipped: list[str] = []
    for first in range(0, len(jobs), PER_COMMAND):
        part = jobs[first : first + PER_COMMAND]
        arguments: list[scripts.Argument] = [keys.PREFIX, queue, "front" if at_front else "back"]
        for job in part:
            arguments.extend(_arguments(job))
        for job, was_pushed in zip(part, scripts.run(connection, scripts.ENQUEUE, arguments), strict=True):
            (pushed if was_pushed else skipped).append(job.id)
    return EnqueueResult(pushed=tuple(pushed), skipped=tuple(skipped))


def _arguments(job: NewJob) -> tuple[scripts.Argument, ...]:
    if not _JOB_ID.fullmatch(job.id):
        raise InputError(f"The job id {job.id!r} has characters other than letters, digits, '_' and '-'.")
    call = json.dumps(
        [job.function, None, list(job.args), dict(job.kwargs)], separators=(",", ":"), allow_nan=False
    )
    return (
        job.id,
        zlib.compress(call.encode()),
        _description(job),
        job.timeout,
        job.result_ttl,
        job.failure_ttl,
        job.retries,
    )


def _description(job: NewJob) -> str:
    """The call as rq shows it in its lists."""
    parts = [repr(arg) for arg in job.args] + [f"{name}={value!r}" for name, value in job.kwargs.items()]
    text = f"{job.function}({', '.join(parts)})"
    return text if len(text) <= _DESCRIPTION_LIMIT else text[: _DESCRIPTION_LIMIT - 1] + "…"
