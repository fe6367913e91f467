"""The worker as rq's own tools see it: its entry among the workers, and rq's maintenance of the registries."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import worker_registration
from rq.job import JobStatus
from rq.utils import now
from rq.worker import BaseWorker

from fixionmail import __version__
from fixionmail.jobs.worker.safejob import JsonSerializer, SafeJob


class WorkerRecord(BaseWorker):  # type: ignore[misc, unused-ignore]
    """rq's worker without its loop. All methods may raise ``redis.exceptions.RedisError``."""

    def __init__(
        self, queues: Sequence[str], name: str, connection: Redis, worker_ttl: int, slots: int = 1
    ) -> None:
        super().__init__(
            list(queues),
            name=name,
            connection=connection,
            worker_ttl=worker_ttl,
            job_class=SafeJob,
            serializer=JsonSerializer,
            prepare_for_work=False,
        )
        self.hostname = socket.gethostname()
        self.pid = os.getpid()
        self.python_version = sys.version
        self._ours: dict[Any, Any] = {"fm_slots": slots, "fm_version": __version__}

    def _set_connection(self, connection: Redis) -> Redis:
        """rq would raise the reply timeout of a connection that is never used for blocking."""
        return connection

    def register(self) -> None:
        """Enter the worker into Redis, the first time or again after its entry was lost."""
        self._set_ip_address(self.connection)
        self.last_heartbeat = now()
        self.birth_date = self.birth_date or self.last_heartbeat
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping={**self.serialize(), "state": "idle", **self._ours})
            worker_registration.register(self, pipeline)
            pipeline.expire(self.key, self.worker_ttl + 60)
            pipeline.execute()

    def unregister(self) -> None:
        """Take the worker's leave."""
        self.register_death()  # type: ignore[no-untyped-call, unused-ignore]

    def clean_up(self) -> None:
        """rq's maintenance: expired registry entries, dead workers, jobs left ready or in between."""
        self.run_maintenance_tasks()  # type: ignore[no-untyped-call, unused-ignore]

    def release_dependents(self, queue_name: str, job_id: str, status: str) -> None:
        """Queue the jobs that waited for this one, by rq's rules."""
        job = SafeJob(id=job_id, connection=self.connection)
        job.origin = queue_name
        job._status = JobStatus(status)
        queue = self.queue_class(
            queue_name, connection=self.connection, job_class=SafeJob, serializer=JsonSerializer
        )
        queue.enqueue_dependents(job)
