"""What a worker can be told, and the codes its process ends with."""

from __future__ import annotations

from dataclasses import dataclass

from fixionmail.errors import SettingsError

EXIT_REQUESTED = 0
"""A signal, a command, or the end of a burst: the process is meant to stay away."""
EXIT_FAILED = 70
"""A part of the worker broke; start the process again."""
EXIT_RECYCLE = 75
"""The process is used up (jobs, memory, stuck threads); start it again."""
EXIT_FORCED = 1
"""A second signal, or the watchdog: stopped in the middle of work."""


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """How one worker process behaves.

    Attributes:
        queues: Queue names, most urgent first. Each later queue keeps a tenth of the slots for its waiting jobs
            (with fewer than ten slots: the first place in every tenth claim), so that it is never starved.
        concurrency: Jobs in flight at once, one thread each; threads start when they are needed.
        name: What the worker's name begins with; eight random characters follow, so no two workers share one.
        burst: Stop when the queues are empty.
        max_jobs: Stop after this many jobs, and ask to be started again.
        drain_seconds: How long jobs may still run after a stop was requested; the rest goes back to its queue.
        grace_seconds: How long a job may outlive its own timeout before it is recorded as failed.
        max_stuck: With this many threads that outlived their job, the worker drains and asks to be started again.
        max_rss_growth_mb: The same when memory has grown by so many MiB since the first jobs; 0 never.
        lease_seconds: How long a started job is believed to run without a sign of life.
        heartbeat_seconds: Seconds between signs of life while nothing runs.
        watchdog_seconds: End the process with a dump of all threads when nothing in it has moved for so long.
        result_ttl: Seconds a result is kept when the job does not say.
    """

    queues: tuple[str, ...]
    concurrency: int
    name: str | None = None
    burst: bool = False
    max_jobs: int | None = None
    drain_seconds: float = 25.0
    grace_seconds: float = 5.0
    max_stuck: int = 8
    max_rss_growth_mb: int = 512
    lease_seconds: float = 90.0
    heartbeat_seconds: float = 240.0
    watchdog_seconds: float = 120.0
    result_ttl: int = 500

    def __post_init__(self) -> None:
        if not self.queues or any(not name or "," in name for name in self.queues):
            raise SettingsError("Name at least one queue for the worker, without commas in the names.")
        if self.concurrency < 1:
            raise SettingsError("The worker's concurrency must be 1 or more.")
        if self.lease_seconds < 3:
            raise SettingsError("The worker's lease must be 3 seconds or more.")
