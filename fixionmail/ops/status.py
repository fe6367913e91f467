"""What ``fixionmail status`` tells: one database call and one read-only Redis command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fixionmail.errors import RedisUnreachableError
from fixionmail.jobs.names import QUEUES
from fixionmail.jobs.worker.keys import PREFIX
from fixionmail.models.operations import LeaderRow, Overview, ProcessRow
from fixionmail.ops import redis_look
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.target import where_mail_goes
from fixionmail.settings import Settings
from fixionmail.store import Store

LOOPS = ("scheduler", "delivery")


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """A queue: jobs that wait, run and have failed, as RQ has them."""

    name: str
    waiting: int
    running: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """What ``fixionmail status`` shows. ``redis``: ``ok``, ``not used``, or why it does not answer."""

    mode: str
    mode_since: str
    overview: Overview
    queues: tuple[QueueRow, ...]
    redis: str
    mail: str
    """Where mail goes, in words."""

    @property
    def workers(self) -> tuple[ProcessRow, ...]:
        """Workers that have reported themselves."""
        return tuple(process for process in self.overview.processes if process.kind == "worker")

    def leader(self, loop: str) -> LeaderRow | None:
        """Who leads ``loop``, if anybody."""
        return next((row for row in self.overview.leaders if row.name == loop and row.held), None)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        view = self.overview
        return {
            "now": view.now.isoformat(),
            "mode": self.mode,
            "mode_since": self.mode_since,
            "redis": self.redis,
            "mail": self.mail,
            "queues": {
                q.name: {"waiting": q.waiting, "running": q.running, "failed": q.failed} for q in self.queues
            },
            "workers": [_process_json(process) for process in self.workers],
            "leaders": {loop: _leader_json(self.leader(loop)) for loop in LOOPS},
            "funnel": {"day": view.day.isoformat(), **funnel(view)},
            "jobs_waiting": view.jobs_waiting,
            "jobs_running": view.jobs_running,
            "deliveries_due": view.deliveries_due,
            "switches": [{"name": s.name, "set_by": s.set_by, "reason": s.reason} for s in view.switches],
            "lines": [
                {"name": line.name, "rate": line.rate, "paused_reason": line.paused_reason or None}
                for line in view.lines
            ],
        }


def look(settings: Settings, store: Store, redis_url: str | None) -> Status:
    """Take a look. A Redis that does not answer is part of the picture, not an error.

    Raises:
        FixionMailError: the database does not answer.
    """
    overview = store.upkeep.overview(datetime.now(UTC).date())
    queues, redis = _queues(redis_url)
    leader = next((row for row in overview.leaders if row.name == "scheduler" and row.held), None)
    info: Mapping[str, Any] = leader.info if leader else {}
    return Status(
        mode=str(info.get("mode", "nobody plans")),
        mode_since=str(info.get("mode_since", "")),
        overview=overview,
        queues=queues,
        redis=redis,
        mail=where_mail_goes(settings),
    )


def funnel(view: Overview) -> dict[str, int]:
    """The day's stories from planned to arrived, by the subscribers' own date."""
    deliveries = view.deliveries
    arrived = sum(deliveries.get(state, 0) for state in ("delivered", "complained"))
    left = sum(deliveries.get(state, 0) for state in ("sent", "bounced", "failed")) + arrived
    lost = ("rejected", "uncertain", "missed", "bounced", "failed")
    return {
        "planned": sum(view.jobs.values()),
        "written": view.jobs.get("completed", 0),
        "sent": left,
        "delivered": arrived,
        "failed": sum(deliveries.get(state, 0) for state in lost),
    }


def _queues(redis_url: str | None) -> tuple[tuple[QueueRow, ...], str]:
    if redis_url is None:
        return (), "not used"
    reader = RedisReader(redis_url, prefix=PREFIX)
    try:
        queues = redis_look.look(reader, QUEUES).queues
    except RedisUnreachableError as error:
        return (), f"does not answer: {error}"
    finally:
        reader.close()
    return tuple(
        QueueRow(name=queue.name, waiting=queue.waiting, running=queue.running, failed=queue.failed)
        for queue in queues
    ), "ok"


def _process_json(process: ProcessRow) -> dict[str, Any]:
    return {
        "process": process.process,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "silent_s": round(process.silent_seconds, 1),
        **process.info,
    }


def _leader_json(leader: LeaderRow | None) -> dict[str, Any] | None:
    if leader is None:
        return None
    keys = ("last_tick_at", "next_tick_at", "counts", "note", "error")
    return {"holder": leader.holder, "fence": leader.fence, **{key: leader.info.get(key) for key in keys}}
