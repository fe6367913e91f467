"""The snapshot of the pretended deployment at an instant, in good and in bad times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from console.canned.clockwork import at, job_id, noise, unix, wave
from fixionmail.ops.views.database import (
    DatabaseView,
    DeliveriesView,
    FunnelView,
    LineView,
    LoopView,
    ModeView,
    ProcessView,
)
from fixionmail.ops.views.redis import (
    ExecutionView,
    Minute,
    PauseView,
    QueueView,
    RedisView,
    WorkerHealth,
    WorkerView,
)
from fixionmail.ops.views.section import Section, Target
from fixionmail.ops.views.snapshot import CostView, Snapshot

VERSION = "0.1.0"
DUE = 48_210
HISTORY_MINUTES = 60


@dataclass(kw_only=True)
class World:
    """What the operator has changed in the pretended deployment so far.

    ``troubled``: the worker ``w-3`` is dead, some deliveries are uncertain, the eviction policy is wrong.
    """

    troubled: bool = True
    paused_queues: dict[str, str] = field(default_factory=dict)
    gone_jobs: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    draining: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    cured: set[str] = field(default_factory=set)
    scales: dict[str, int] = field(default_factory=lambda: {"worker": 4})


def snapshot(world: World, target: Target, now: datetime) -> Snapshot:
    """The pretended deployment at ``now``."""
    t = unix(now)
    workers = _workers(world, t)
    return Snapshot(
        taken_at=now,
        target=target,
        redis=Section(value=_redis(world, t)),
        queues=Section(value=tuple(_queue(world, name, t) for name in ("emails", "stories", "imports"))),
        workers=Section(value=workers),
        mode=Section(value=ModeView(mode="queue", since=at(t - 6.4 * 3600))),
        loops=Section(value=_loops(t)),
        processes=Section(value=_processes(t)),
        funnel=Section(value=_funnel(now, t)),
        deliveries=Section(value=_deliveries(world, t)),
        database=Section(value=_database(t)),
        cost=CostView(
            redis_commands=1,
            database_calls=1,
            seconds=0.012 + 0.01 * noise("cost", int(t)),
            commands_per_month=0,
        ),
    )


def _redis(world: World, t: float) -> RedisView:
    risky = world.troubled and "policy" not in world.cured
    return RedisView(
        flavour="Valkey",
        version="9.1.2",
        role="master",
        used_memory=int(wave(t, 600, 41e6, 58e6)),
        max_memory=256 * 1024 * 1024,
        eviction_policy="allkeys-lru" if risky else "noeviction",
        persistence="aof",
        clients=37,
        commands_per_second=int(wave(t, 47, 140, 320)),
        uptime_seconds=int(t) % 900_000 + 86_400,
        round_trip_seconds=0.0011 + 0.0008 * noise("rtt", int(t)),
        clock_skew_seconds=0.02,
        rq_layout="3",
        suspended=False,
        keys=182_433 + int(wave(t, 300, 0, 900)),
    )


_SHAPES: Mapping[str, tuple[float, float, float, int]] = {
    # rate in a minute, swing, period of the backlog in seconds, largest backlog
    "emails": (420.0, 120.0, 660.0, 5200),
    "stories": (64.0, 22.0, 900.0, 640),
    "imports": (0.0, 0.0, 1.0, 0),
}


def _queue(world: World, name: str, t: float) -> QueueView:
    rate, swing, period, most = _SHAPES[name]
    unserved = name == "imports" and world.troubled and "imports" not in world.cured
    waiting = 38 + int(t / 40) % 5 if unserved else int(wave(t, period, most * 0.04, most, 0.1))
    minutes = _minutes(name, t)
    busy = sum(1 for worker in _workers(world, t) for run in worker.executions if run.queue == name)
    paused = world.paused_queues.get(name)
    return QueueView(
        name=name,
        waiting=waiting,
        running=busy,
        failed={"emails": 31, "stories": 12, "imports": 0}[name],
        finished={"emails": 31_877, "stories": 33_020, "imports": 214}[name],
        scheduled={"emails": 0, "stories": 9, "imports": 0}[name],
        deferred=0,
        canceled={"emails": 2, "stories": 1, "imports": 0}[name],
        limbo=0,
        lapsed=1 if name == "stories" and world.troubled and "w-3" not in world.cured else 0,
        oldest_waiting_at=at(t - (740 if unserved else wave(t, period, 3, 64))) if waiting else None,
        oldest_running_at=at(t - 41),
        paused=PauseView(by="you", reason=paused, since=at(t - 30)) if paused is not None else None,
        workers=0 if name == "imports" else 3,
        minutes=minutes,
        in_per_minute=rate + swing * 0.3 * noise(name, int(t / 60)),
        out_per_minute=rate * 1.3 + swing * noise(name, "out", int(t / 60)),
        failed_per_minute=0.4 if name == "emails" else 0.2 if name == "stories" else 0.0,
    )


def _minutes(name: str, t: float) -> tuple[Minute, ...]:
    rate, swing, _, _ = _SHAPES[name]
    now = int(t // 60)
    made = []
    for minute in range(now - HISTORY_MINUTES + 1, now + 1):
        level = rate + swing * (wave(minute, 23, -1, 1) + 0.6 * noise(name, minute))
        done = max(0, int(level))
        made.append(
            Minute(
                minute=minute,
                enqueued=max(0, int(level * 0.95)),
                started=done,
                finished=done,
                failed=1 if done and noise(name, "f", minute) > 0.7 else 0,
                wait_ms=done * 900,
                run_ms=done * 2400,
            )
        )
    return tuple(made)


def _execution(t: float, worker: str, slot: int) -> ExecutionView:
    story = slot % 2 == 0
    length = 48 if story else 7
    born = int((t + 13 * slot) // length)
    started = born * length - 13 * slot
    elapsed = max(0.2, t - started)
    steps = ("plan", "draft", "edit") if story else ("open", "seal", "send")
    return ExecutionView(
        job_id=job_id(hash_number(worker, slot, born)),
        queue="stories" if story else "emails",
        function="fixionmail.jobs.tasks.write_story" if story else "fixionmail.jobs.tasks.send_due_mail",
        started_at=at(started),
        elapsed_seconds=elapsed,
        timeout_seconds=900 if story else 120,
        lease_until=at(t + 55),
        step=steps[min(2, int(elapsed / length * 3))],
        percent=min(99, int(elapsed / length * 100)),
    )


def hash_number(*parts: object) -> int:
    """A stable whole number for these parts."""
    return int(noise(*parts) * 1e9)


def _workers(world: World, t: float) -> tuple[WorkerView, ...]:
    names = [f"w-{number}" for number in range(1, world.scales["worker"] + 1)]
    return tuple(_worker(world, name, t) for name in names if name not in world.stopped)


def _worker(world: World, name: str, t: float) -> WorkerView:
    number = int(name[2:])
    dead = name == "w-3" and world.troubled and "w-3" not in world.cured
    draining = name in world.draining
    slots = 50 if number != 4 else 1
    busy = 1 if dead or number == 4 else 4 + int(4 * noise(name, int(t / 6)))
    health = WorkerHealth.DEAD if dead else WorkerHealth.DRAINING if draining else WorkerHealth.OK
    executions = tuple(_execution(t, name, slot) for slot in range(0 if draining else busy))
    if dead:
        stuck = _execution(t - t % 600 - 300, name, 0)
        executions = (_lapsed(stuck, t),)
    return WorkerView(
        name=f"fixionmail-{name}",
        host=f"railway-{'7f3a' if number < 3 else 'c91e'}",
        pid=4100 + number * 7,
        state="busy" if executions else "idle",
        health=health,
        queues=("emails", "stories") if number != 4 else ("stories",),
        born_at=at(t - 6.2 * 3600 - number * 60),
        silent_seconds=412.0 if dead else 2 + 20 * noise(name, int(t / 2)),
        executions=executions,
        slots=slots,
        rss_bytes=int((130 + 9 * number) * 1e6 + 4e6 * noise(name, int(t / 10))),
        version=VERSION,
        python="3.11.7",
        successful=8000 + number * 211,
        failed=9 + number,
        threaded=number != 4,
    )


def _lapsed(run: ExecutionView, t: float) -> ExecutionView:
    return ExecutionView(
        job_id=job_id(3_003),
        queue=run.queue,
        function=run.function,
        started_at=at(t - 486),
        elapsed_seconds=486.0,
        timeout_seconds=900,
        lease_until=at(t - 322),
        step="draft",
        percent=38,
    )


def _process(kind: str, number: int, t: float) -> ProcessView:
    return ProcessView(
        process=f"{kind}-{number}",
        kind=kind,
        host="railway-7f3a" if number == 1 else "railway-c91e",
        pid=3000 + number * 11 + len(kind),
        version=VERSION,
        started_at=at(t - 6.4 * 3600),
        silent_seconds=1.0 + noise(kind, number, int(t)),
    )


def _processes(t: float) -> tuple[ProcessView, ...]:
    return tuple(_process(kind, n, t) for kind in ("scheduler", "delivery") for n in (1, 2))


def _loops(t: float) -> tuple[LoopView, ...]:
    counts = {
        "scheduler": {"planned": 41 + int(8 * noise("plan", int(t / 60))), "rung": 41},
        "delivery": {"rung": 120 + int(60 * noise("ring", int(t / 60))), "repaired": 0},
    }
    offsets = {"scheduler": 0, "delivery": 22}
    return tuple(
        LoopView(
            name=name,
            leader=_process(name, 1, t),
            fence=17 if name == "scheduler" else 9,
            held=True,
            leading_since=at(t - 6.4 * 3600),
            last_tick_at=at(t - (t + offsets[name]) % 60),
            next_tick_at=at(t + 60 - (t + offsets[name]) % 60),
            counts=counts[name],
            standby=(_process(name, 2, t),),
        )
        for name in ("scheduler", "delivery")
    )


def _funnel(now: datetime, t: float) -> FunnelView:
    part = wave(t, 5400, 0.52, 0.82)
    written = int(DUE * part)
    sent = int(written * 0.965)
    return FunnelView(
        day=now.date(),
        due=DUE,
        written=written,
        sent=sent,
        delivered=int(sent * 0.988),
        failed=14,
        waiting_to_write=int(wave(t, 900, 40, 640)),
        writing=9,
    )


def _deliveries(world: World, t: float) -> DeliveriesView:
    bad = world.troubled
    uncertain = max(0, (3 if bad else 0) - len(world.settled))
    return DeliveriesView(
        due=int(wave(t, 660, 120, 5200)),
        sending=100,
        uncertain=uncertain,
        oldest_due_at=at(t - 58),
        next_due_at=at(t + 4),
        next_plan_at=at(t + 11),
        unplanned=0,
        jobs_waiting=int(wave(t, 900, 40, 640)),
        jobs_running=9,
        jobs_lapsed=1 if bad and "w-3" not in world.cured else 0,
        oldest_job_at=at(t - 64),
        rung=12,
        batches={"sending": 2, "sealed": 4, "ambiguous": 1 if uncertain else 0},
        states={
            "pending": 5100,
            "sending": 100,
            "sent": 31_200,
            "delivered": 30_400,
            "uncertain": uncertain,
            "bounced": 14,
        },
        lines=(LineView(name="resend", rate=7.0, paused_until=None, paused_reason=""),),
    )


def _database(t: float) -> DatabaseView:
    return DatabaseView(
        version="18.6",
        size_bytes=int(2.4e9),
        connections=14,
        max_connections=60,
        round_trip_seconds=0.004 + 0.002 * noise("db", int(t)),
        clock_skew_seconds=0.01,
        subscribers=51_904,
        road="postgres",
    )
