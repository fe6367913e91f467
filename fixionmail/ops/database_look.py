"""The database half of a snapshot: one call, and one more each for unknown zones and for rejected addresses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from fixionmail.models.operations import LeaderRow, OperationsRow, ProcessRow, Witness
from fixionmail.ops.heartbeats import speaks
from fixionmail.ops.views.database import (
    DatabaseView,
    DeliveriesView,
    FunnelView,
    LineView,
    LoopView,
    ModeView,
    ProcessView,
    SwitchView,
)
from fixionmail.schedule import zone
from fixionmail.store import Store, migrations
from fixionmail.store.operations import LEAD
from fixionmail.store.transport import instant

LOOPS = ("scheduler", "delivery")
ARRIVED = ("delivered", "complained")
LEFT = ("sent", "bounced", "failed", *ARRIVED)
LOST = ("rejected", "uncertain", "missed", "bounced", "failed")


@dataclass(frozen=True, kw_only=True)
class DatabaseLook:
    """What the call told."""

    mode: ModeView
    loops: tuple[LoopView, ...]
    processes: tuple[ProcessView, ...]
    funnel: FunnelView
    deliveries: DeliveriesView
    database: DatabaseView


def look(store: Store, now: datetime, *, lead: timedelta = LEAD) -> DatabaseLook:
    """Take the look.

    Args:
        store: the database.
        now: by our own clock; the difference to the database's is part of the picture.
        lead: how long before its delivery a story is planned.

    Raises:
        FixionMailError: the database does not answer, or refuses.
    """
    began = time.perf_counter()
    row = store.operations.snapshot(now.date(), lead=lead)
    took = time.perf_counter() - began
    unknown = [name for name in row.zones if zone(name) is None]
    strangers = store.operations.subscribers_in_zones(unknown) if unknown else ()
    if "rejected" in row.witnesses:
        still = store.operations.rejected_subscribers(now.date())
        row = replace(row, witnesses={**row.witnesses, "rejected": still})
    processes = tuple(map(_process, row.processes))
    return DatabaseLook(
        mode=_mode(row),
        loops=tuple(_loop(name, row, processes) for name in LOOPS),
        processes=processes,
        funnel=_funnel(now, row),
        deliveries=_deliveries(row, strangers, lead),
        database=_database(row, now, took, store.transport.name),
    )


def _process(row: ProcessRow) -> ProcessView:
    return ProcessView(
        process=row.process,
        kind=row.kind,
        host=row.host,
        pid=row.pid,
        version=row.version,
        started_at=row.started_at,
        silent_seconds=row.silent_seconds,
        info=row.info,
    )


def _mode(row: OperationsRow) -> ModeView:
    """As the leader of a loop has it, the scheduler's first."""
    for name in LOOPS:
        leader = _lease(name, row)
        if leader and leader.held and "mode" in leader.info:
            info = leader.info
            return ModeView(
                mode=str(info["mode"]),
                since=_moment(info, "mode_since"),
                reason=str(info.get("mode_reason", "")),
            )
    return ModeView(mode="unknown", since=None, reason="nobody leads a loop")


def _loop(name: str, row: OperationsRow, processes: tuple[ProcessView, ...]) -> LoopView:
    lease = _lease(name, row)
    held = lease is not None and lease.held
    info: Mapping[str, Any] = lease.info if lease else {}
    copies = [process for process in processes if process.kind == name]
    leads = next((copy for copy in copies if lease and held and copy.process == lease.holder), None)
    return LoopView(
        name=name,
        leader=leads or (_from_lease(lease, row.now) if lease and held else None),
        fence=lease.fence if lease else 0,
        held=held,
        leading_since=lease.acquired_at if lease and held else None,
        last_tick_at=_moment(info, "last_tick_at"),
        next_tick_at=_moment(info, "next_tick_at") if held else None,
        counts={str(what): n for what, n in dict(info.get("counts") or {}).items() if isinstance(n, int)},
        error=str(info.get("error") or ""),
        note=str(info.get("note") or ""),
        standby=tuple(copy for copy in copies if copy is not leads and speaks(copy)),
    )


def _lease(name: str, row: OperationsRow) -> LeaderRow | None:
    return next((leader for leader in row.leaders if leader.name == name), None)


def _from_lease(lease: LeaderRow, now: datetime) -> ProcessView:
    """A leader whose own sign of life has not come in yet."""
    pid = lease.info.get("pid")
    return ProcessView(
        process=lease.holder,
        kind=lease.name,
        host=str(lease.info.get("host", "")),
        pid=pid if isinstance(pid, int) else 0,
        version="",
        started_at=lease.acquired_at,
        silent_seconds=0.0,
        info=lease.info,
    )


def _funnel(now: datetime, row: OperationsRow) -> FunnelView:
    def count(states: tuple[str, ...]) -> int:
        return sum(row.deliveries.get(state, 0) for state in states)

    return FunnelView(
        day=now.date(),
        due=sum(row.jobs.values()),
        written=row.jobs.get("completed", 0),
        sent=count(LEFT),
        delivered=count(ARRIVED),
        failed=count(LOST),
        waiting_to_write=row.jobs.get("pending", 0),
        writing=row.jobs.get("running", 0),
        jobs=row.jobs,
    )


def _deliveries(row: OperationsRow, strangers: tuple[Witness, ...], lead: timedelta) -> DeliveriesView:
    return DeliveriesView(
        due=row.due,
        sending=row.sending,
        uncertain=row.uncertain,
        oldest_due_at=row.oldest_due_at,
        next_due_at=row.next_due_at,
        next_plan_at=row.next_plan_at,
        next_story_at=row.next_plan_at and row.next_plan_at + lead,
        unplanned=row.unplanned,
        jobs_waiting=row.jobs_waiting,
        jobs_running=row.jobs_running,
        jobs_lapsed=row.jobs_lapsed,
        oldest_job_at=row.oldest_job_at,
        rung=row.jobs_waiting - row.jobs_resting,
        batches=row.batches,
        states=row.deliveries,
        rejected=_details(row, "rejected"),
        failing=tuple(f"{w.detail} x {w.subject}" for w in row.witnesses.get("failing", ())),
        lines=_lines(row),
        switches=_switches(row),
        same_date=len(_duplicates(row, "same_date")),
        accepted_twice=len(_duplicates(row, "accepted_twice")),
        missing_constraints=_duplicates(row, "constraint"),
        unknown_zones=tuple(witness.detail for witness in strangers) + _details(row, "time"),
        double_addresses=_duplicates(row, "same_address"),
        orphan_jobs=len(row.witnesses.get("orphan", ())),
        jobs_resting=row.jobs_resting,
        oldest_job_due_at=row.oldest_job_due_at,
        duplicates=row.duplicates,
        witnesses={**row.witnesses, "zone": strangers} if strangers else row.witnesses,
    )


def _details(row: OperationsRow, kind: str) -> tuple[str, ...]:
    return tuple(witness.detail for witness in row.witnesses.get(kind, ()))


def _duplicates(row: OperationsRow, kind: str) -> tuple[str, ...]:
    return tuple(found.subject for found in row.duplicates if found.kind == kind)


def _lines(row: OperationsRow) -> tuple[LineView, ...]:
    return tuple(
        LineView(
            name=line.name,
            rate=line.rate,
            paused_until=line.paused_until,
            paused_reason=line.paused_reason,
        )
        for line in row.lines
    )


def _switches(row: OperationsRow) -> tuple[SwitchView, ...]:
    return tuple(
        SwitchView(name=switch.name, by=switch.set_by, reason=switch.reason, since=switch.set_at)
        for switch in row.switches
    )


def _database(row: OperationsRow, now: datetime, took: float, road: str) -> DatabaseView:
    skew = (row.now - now).total_seconds() - took / 2
    return DatabaseView(
        version=row.version,
        size_bytes=row.size_bytes,
        connections=row.connections,
        max_connections=row.max_connections,
        round_trip_seconds=took,
        clock_skew_seconds=skew if abs(skew) > took else 0.0,  # no clock is read more closely than that
        missing_migrations=migrations.compare(row.migrations).missing,
        subscribers=sum(n for status, n in row.users.items() if status != "removed"),
        road=road,
    )


def _moment(info: Mapping[str, Any], name: str) -> datetime | None:
    """An instant that a process reported; what it says may be anything."""
    text = info.get(name)
    try:
        return instant(text) if isinstance(text, str) else None
    except ValueError:
        return None
