"""Which execution the current code belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionContext:
    """One run of one job. ``execution_id`` is unique to the run; database claims name it as their holder."""

    execution_id: str
    job_id: str
    queue: str
    worker_name: str


_current: ContextVar[ExecutionContext | None] = ContextVar("current_execution", default=None)


def current_execution() -> ExecutionContext | None:
    """The execution this code runs in, or None outside of a worker's job."""
    return _current.get()
