"""The whole look."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from fixionmail.ops.views.database import (
    DatabaseView,
    DeliveriesView,
    FunnelView,
    LoopView,
    ModeView,
    ProcessView,
)
from fixionmail.ops.views.redis import QueueView, RedisView, WorkerView
from fixionmail.ops.views.section import Section, Target


@dataclass(frozen=True, kw_only=True)
class CostView:
    """What this look cost, and what looking at this pace costs in a month of 30 days."""

    redis_commands: int
    database_calls: int
    seconds: float
    commands_per_month: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A deployment at one look. Nothing was written for it, and nothing raised."""

    taken_at: datetime
    target: Target
    redis: Section[RedisView]
    queues: Section[tuple[QueueView, ...]]
    workers: Section[tuple[WorkerView, ...]]
    mode: Section[ModeView]
    loops: Section[tuple[LoopView, ...]]
    processes: Section[tuple[ProcessView, ...]]
    funnel: Section[FunnelView]
    deliveries: Section[DeliveriesView]
    database: Section[DatabaseView]
    cost: CostView

    @property
    def unseen(self) -> frozenset[str]:
        """The names of the parts that could not be seen."""
        parts = ((part.name, getattr(self, part.name)) for part in fields(self))
        return frozenset(name for name, part in parts if isinstance(part, Section) and part.error)
