"""What ``GET /api/status`` says: numbers only. No names, addresses, hosts or errors of ours leave by this door."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fixionmail import __version__
from fixionmail.models.operations import is_story_line
from fixionmail.ops.heartbeats import speaks
from fixionmail.ops.views.database import DeliveriesView, FunnelView
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.web.cached import Aged

STALE_SECONDS = 60.0
"""A report that could not be renewed is served for so long; after that there is none."""

UNAVAILABLE = {"status": "unavailable"}
_PROBLEMS = {"mail_held": "mail is held", "scheduler_paused": "planning is paused"}


def report(seen: Aged[Snapshot] | None) -> tuple[int, dict[str, Any]]:
    """Status code and body for what was last seen; the database answered when it was."""
    if seen is None or (seen.failing and seen.age > STALE_SECONDS):
        return 503, UNAVAILABLE
    mail, funnel = seen.value.deliveries.value, seen.value.funnel.value
    if mail is None or funnel is None:
        return 503, UNAVAILABLE
    problems = list(_problems(seen.value, mail))
    return 200, {
        "status": "degraded" if problems or seen.failing else "ok",
        "problems": problems,
        "version": __version__,
        "now": seen.value.taken_at.isoformat(),
        **_redis(seen.value),
        **_mail(seen.value.taken_at, mail),
        **_processes(seen.value, mail),
        **_day(funnel),
        "age_seconds": round(seen.age, 1),
        "stale": seen.failing,
    }


def _redis(seen: Snapshot) -> dict[str, Any]:
    mode = seen.mode.value.mode if seen.mode.value else ""
    return {
        "mode": mode if mode in ("queue", "fallback") else "unknown",
        "redis": "down" if seen.redis.error else "not used" if seen.redis.absent else "ok",
        "queue": {
            queue.name: {"waiting": queue.waiting, "running": queue.running, "failed": queue.failed}
            for queue in seen.queues.value or ()
        },
    }


def _mail(now: datetime, mail: DeliveriesView) -> dict[str, Any]:
    return {
        "jobs": {"waiting": mail.jobs_waiting, "running": mail.jobs_running},
        "deliveries": {
            "due": mail.due,
            "oldest_due_seconds": _age(mail.oldest_due_at, now),
            "today": dict(sorted(mail.states.items())),
        },
        "next_due_seconds": _until(now, mail),
    }


def _processes(seen: Snapshot, mail: DeliveriesView) -> dict[str, Any]:
    workers = [
        process for process in seen.processes.value or () if process.kind == "worker" and speaks(process)
    ]
    slots = sum(n for worker in workers if isinstance(n := worker.info.get("concurrency"), int))
    rate = sum(line.rate for line in mail.lines if not is_story_line(line.name))
    return {
        "workers": {"count": len(workers), "slots": slots},
        "capacity": {
            "stories_at_a_time": slots if workers else None,
            "requests_per_second": round(rate, 2),
        },
        "loops": {
            loop.name: {
                "led": loop.leader is not None,
                "last_tick_seconds": _age(loop.last_tick_at, seen.taken_at) if loop.leader else None,
            }
            for loop in seen.loops.value or ()
        },
    }


def _day(funnel: FunnelView) -> dict[str, Any]:
    return {"day": funnel.day.isoformat(), "funnel": dict(funnel.steps)}


def _problems(seen: Snapshot, mail: DeliveriesView) -> Iterator[str]:
    """What is wrong, in fixed words."""
    if seen.redis.error:
        yield "redis does not answer"
    for loop in seen.loops.value or ():
        if loop.leader is None:
            yield f"no {loop.name} loop"
    for switch in mail.switches:
        yield _PROBLEMS.get(switch.name, "a switch")
    paused = [line.name for line in mail.lines if line.paused_until]
    if not all(map(is_story_line, paused)):
        yield "the mail line is paused"
    if any(map(is_story_line, paused)):
        yield "writing is paused"


def _until(now: datetime, mail: DeliveriesView) -> float | None:
    due = [at for at in (mail.next_due_at, mail.next_story_at) if at is not None]
    return round((min(due) - now).total_seconds(), 1) if due else None


def _age(at: datetime | None, now: datetime) -> float | None:
    return round((now - at).total_seconds(), 1) if at else None
