"""A look at a deployment in which all is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fixionmail.ops.views.database import (
    DatabaseView,
    DeliveriesView,
    FunnelView,
    LoopView,
    ModeView,
    ProcessView,
)
from fixionmail.ops.views.redis import QueueView, RedisView, WorkerHealth, WorkerView
from fixionmail.ops.views.section import Section, Target
from fixionmail.ops.views.snapshot import CostView, Snapshot

NOW = datetime(2031, 5, 14, 12, 0, tzinfo=UTC)


def well() -> Snapshot:
    """The look."""
    processes = tuple(_process(kind) for kind in ("scheduler", "delivery"))
    return Snapshot(
        taken_at=NOW,
        target=Target(redis="h:6379/0", database="h/db", environment="local", remote=False),
        redis=Section(value=_redis()),
        queues=Section(
            value=tuple(
                QueueView(name=name, waiting=0, running=0, workers=1) for name in ("emails", "stories")
            )
        ),
        workers=Section(value=(_worker(),)),
        mode=Section(value=ModeView(mode="queue", since=NOW)),
        loops=Section(value=tuple(_loop(process) for process in processes)),
        processes=Section(value=processes),
        funnel=Section(value=FunnelView(day=NOW.date(), due=0, written=0, sent=0, delivered=0, failed=0)),
        deliveries=Section(value=_deliveries()),
        database=Section(
            value=DatabaseView(
                version="18.1",
                size_bytes=1,
                connections=3,
                max_connections=100,
                round_trip_seconds=0.001,
                clock_skew_seconds=0.0,
            )
        ),
        cost=CostView(redis_commands=1, database_calls=1, seconds=0.01),
    )


def _redis() -> RedisView:
    return RedisView(
        flavour="Valkey",
        version="9.1.2",
        role="master",
        used_memory=1,
        max_memory=0,
        eviction_policy="noeviction",
        persistence="aof",
        clients=3,
        commands_per_second=1,
        uptime_seconds=9,
        round_trip_seconds=0.001,
        clock_skew_seconds=0.0,
        rq_layout="3",
        suspended=False,
        keys=0,
    )


def _worker() -> WorkerView:
    return WorkerView(
        name="w",
        host="mill",
        pid=7,
        state="idle",
        health=WorkerHealth.OK,
        queues=("emails", "stories"),
        born_at=NOW,
        silent_seconds=5.0,
        slots=50,
    )


def _process(kind: str) -> ProcessView:
    return ProcessView(
        process=f"{kind}@mill",
        kind=kind,
        host="mill",
        pid=8,
        version="1.0",
        started_at=NOW,
        silent_seconds=3.0,
    )


def _loop(leader: ProcessView) -> LoopView:
    return LoopView(
        name=leader.kind,
        leader=leader,
        fence=1,
        held=True,
        leading_since=NOW,
        last_tick_at=NOW,
        next_tick_at=NOW + timedelta(seconds=30),
        counts={},
    )


def _deliveries() -> DeliveriesView:
    return DeliveriesView(
        due=0,
        sending=0,
        uncertain=0,
        oldest_due_at=None,
        next_due_at=None,
        next_plan_at=None,
        unplanned=0,
        jobs_waiting=0,
        jobs_running=0,
        jobs_lapsed=0,
        oldest_job_at=None,
        rung=0,
        batches={},
        states={},
    )
