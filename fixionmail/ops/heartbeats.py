"""How long a process may be silent before something is wrong. What speaks up seldom is not dead because it is quiet."""

from __future__ import annotations

from fixionmail.ops.views.database import ProcessView
from fixionmail.ops.views.redis import WorkerHealth

BUSY_SILENCE_SECONDS = 75.0
"""A busy worker speaks up every half minute."""
IDLE_SILENCE_SECONDS = 435.0
"""An idle one of RQ's every 405 seconds."""
GRACE_SECONDS = 45.0
"""RQ lets a record live a minute longer than it promises the next sign of life."""
PROCESS_SILENCE_SECONDS = 90.0
"""Our processes report to the database every half minute, leaders of loops three times as often."""


def worker_health(
    *, state: str, silent_seconds: float | None, life_seconds: float, ours: bool, leaving: bool
) -> WorkerHealth:
    """How a worker is, by its record in Redis.

    Args:
        state: ``busy``, ``idle`` or ``suspended``.
        silent_seconds: since its last sign of life; None when it never gave one.
        life_seconds: how long Redis keeps the record, which is how long it promised to be silent at most; 0 or less
            for a record that is kept for ever.
        ours: it is one of FixionMail's, whose busy worker promises more than it needs.
        leaving: it drains, or was told to stop.
    """
    if silent_seconds is None:
        return WorkerHealth.QUIET
    busy = state == "busy"
    allowed = BUSY_SILENCE_SECONDS if busy else IDLE_SILENCE_SECONDS
    if life_seconds > 0 and not (busy and ours):
        allowed = max(BUSY_SILENCE_SECONDS, silent_seconds + life_seconds - GRACE_SECONDS)
    if life_seconds <= 0 and silent_seconds > IDLE_SILENCE_SECONDS + GRACE_SECONDS:
        return WorkerHealth.DEAD
    if silent_seconds > allowed:
        return WorkerHealth.QUIET
    if leaving:
        return WorkerHealth.DRAINING
    return WorkerHealth.SUSPENDED if state == "suspended" else WorkerHealth.OK


def speaks(process: ProcessView) -> bool:
    """Whether a process that reports to the database has done so lately."""
    return process.silent_seconds <= PROCESS_SILENCE_SECONDS
