"""Short ways to queue test jobs and to look at them with rq's own classes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from redis import Redis
from rq.job import Job

from fixionmail.jobs.worker import JsonSerializer, NewJob, enqueue_many
from tests.integration.worker.functions import HERE


def new(job_id: str, function: str, *args: object, timeout: int = 60, retries: int = 0) -> NewJob:
    return NewJob(id=job_id, function=f"{HERE}.{function}", args=args, timeout=timeout, retries=retries)


def queue(redis: Redis, *jobs: NewJob, on: str = "stories") -> None:
    assert enqueue_many(redis, on, jobs).skipped == ()


def notes(path: Path, ids: Iterable[str], *, seconds: float = 0.0, retries: int = 1) -> list[NewJob]:
    """Jobs that each leave their id in a file."""
    return [new(job_id, "note", str(path), job_id, seconds, retries=retries) for job_id in ids]


def held(path: Path, gate: Path, ids: Iterable[str], *, retries: int = 1) -> list[NewJob]:
    """Jobs that each leave their id in a file once the file ``gate`` is there."""
    return [new(job_id, "patient", str(path), job_id, str(gate), retries=retries) for job_id in ids]


def listens(redis: Redis, worker_name: str) -> bool:
    """Whether a worker hears the commands that are sent to it from now on."""
    return bool(redis.pubsub_numsub(f"rq:pubsub:{worker_name}")[0][1])


def stored(redis: Redis, job_id: str) -> Job:
    return Job.fetch(job_id, connection=redis, serializer=JsonSerializer)


def status(redis: Redis, job_id: str) -> str:
    raw = redis.hget(f"rq:job:{job_id}", "status")
    return raw.decode() if isinstance(raw, bytes) else "gone"


def error_of(redis: Redis, job_id: str) -> str:
    result = stored(redis, job_id).latest_result()
    return (result.exc_string or "") if result else ""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
