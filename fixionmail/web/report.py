"""What ``GET /api/status`` says: numbers only. No names, addresses, hosts or errors of ours leave by this door."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from fixionmail import __version__
from fixionmail.models.operations import Overview, is_story_line
from fixionmail.ops.status import LOOPS, Status, funnel
from fixionmail.web.cached import Aged

STALE_SECONDS = 60.0
"""A report that could not be renewed is served for so long; after that there is none."""
SILENT_SECONDS = 90.0
"""A process that has been silent for longer does not count."""

UNAVAILABLE = {"status": "unavailable"}


def report(seen: Aged[Status] | None) -> tuple[int, dict[str, Any]]:
    """Status code and body for what was last seen."""
    if seen is None or (seen.failing and seen.age > STALE_SECONDS):
        return 503, UNAVAILABLE
    problems = list(_problems(seen.value))
    fresh = {"age_seconds": round(seen.age, 1), "stale": seen.failing}
    return 200, {
        "status": "degraded" if problems or seen.failing else "ok",
        "problems": problems,
        **_numbers(seen.value),
        **fresh,
    }


def _numbers(status: Status) -> dict[str, Any]:
    view = status.overview
    workers = [worker for worker in status.workers if worker.silent_seconds < SILENT_SECONDS]
    slots = sum(int(worker.info.get("concurrency", 0)) for worker in workers)
    return {
        "version": __version__,
        "now": view.now.isoformat(),
        "mode": status.mode if status.mode in ("queue", "fallback") else "unknown",
        "queue": {
            queue.name: {"waiting": queue.waiting, "running": queue.running, "failed": queue.failed}
            for queue in status.queues
        },
        "jobs": {"waiting": view.jobs_waiting, "running": view.jobs_running},
        "deliveries": {
            "due": view.deliveries_due,
            "oldest_due_seconds": _age(view.oldest_due_at, view.now),
            "today": dict(sorted(view.deliveries.items())),
        },
        "redis": _redis(status),
        "workers": {"count": len(workers), "slots": slots},
        "capacity": {
            "stories_at_a_time": slots if workers else None,
            "requests_per_second": round(
                sum(line.rate for line in view.lines if not is_story_line(line.name)), 2
            ),
        },
        "day": view.day.isoformat(),
        "funnel": funnel(view),
        "loops": {loop: {"led": status.leader(loop) is not None, **_tick(status, loop)} for loop in LOOPS},
        "next_due_seconds": _until(view),
    }


def _problems(status: Status) -> Iterator[str]:
    """What is wrong, in fixed words."""
    if _redis(status) == "down":
        yield "redis does not answer"
    for loop in LOOPS:
        if status.leader(loop) is None:
            yield f"no {loop} loop"
    for switch in status.overview.switches:
        yield {"mail_held": "mail is held", "scheduler_paused": "planning is paused"}.get(
            switch.name, "a switch"
        )
    paused = [line.name for line in status.overview.lines if line.paused_until]
    if not all(map(is_story_line, paused)):
        yield "the mail line is paused"
    if any(map(is_story_line, paused)):
        yield "writing is paused"


def _redis(status: Status) -> str:
    return {"ok": "ok", "not used": "not used"}.get(status.redis, "down")


def _tick(status: Status, loop: str) -> dict[str, Any]:
    leader = status.leader(loop)
    last = leader.info.get("last_tick_at") if leader else None
    try:
        at = datetime.fromisoformat(str(last))
    except ValueError:
        return {"last_tick_seconds": None}
    return {"last_tick_seconds": _age(at if at.tzinfo else at.replace(tzinfo=UTC), status.overview.now)}


def _until(view: Overview) -> float | None:
    due = [at for at in (view.next_due_at, view.next_plan_due_at) if at is not None]
    return round((min(due) - view.now).total_seconds(), 1) if due else None


def _age(at: datetime | None, now: datetime) -> float | None:
    return round((now - at).total_seconds(), 1) if at else None
