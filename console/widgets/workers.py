"""Workers and what each has in hand, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from console.figures import brief, short, since, size, span, until
from console.marks import ACCENT_STYLE, BAD, BAD_STYLE, QUIET_STYLE, WARN_STYLE, bar, health
from console.text import plain, safe
from console.widgets.table import Column, Row
from fixionmail.ops.views.redis import ExecutionView, WorkerHealth, WorkerView

COMPACT_COLUMNS = (
    Column(name="health", width=11),
    Column(name="name", least=12),
    Column(name="host", width=14, rank=1),
    Column(name="slots", width=9, right=True),
    Column(name="", width=10, rank=2),
)
COLUMNS = (
    Column(name="health", width=11),
    Column(name="worker", least=16),
    Column(name="host", width=14, grow=22, rank=3),
    Column(name="pid", width=7, right=True, rank=5),
    Column(name="in hand", width=8, right=True),
    Column(name="", width=10, rank=6),
    Column(name="silent", width=7, right=True),
    Column(name="done", width=7, right=True, rank=2),
    Column(name="failed", width=6, right=True, rank=2),
    Column(name="memory", width=8, right=True, rank=4),
    Column(name="queues", width=16, rank=7),
    Column(name="version", width=8, rank=8),
)
RUN_COLUMNS = (
    Column(name="job", width=13, grow=36),
    Column(name="queue", width=8, grow=14, rank=3),
    Column(name="function", least=12, rank=2),
    Column(name="step", width=8, rank=4),
    Column(name="", width=12, rank=5),
    Column(name="elapsed", width=8, right=True),
    Column(name="limit", width=8, right=True, rank=1),
    Column(name="lease ends", width=12, right=True, rank=6),
)
_ORDER = (
    WorkerHealth.DEAD,
    WorkerHealth.QUIET,
    WorkerHealth.SUSPENDED,
    WorkerHealth.DRAINING,
    WorkerHealth.OK,
)


def ordered(workers: Sequence[WorkerView]) -> list[WorkerView]:
    """Trouble first, then by name."""
    return sorted(workers, key=lambda worker: (_ORDER.index(worker.health), worker.name))


def living(workers: Sequence[WorkerView]) -> list[WorkerView]:
    """Those that are not dead."""
    return [worker for worker in workers if worker.health is not WorkerHealth.DEAD]


def compact_rows(workers: Sequence[WorkerView]) -> tuple[Row, ...]:
    """Health, name and load."""
    return tuple(
        Row(
            key=worker.name,
            cells=(
                health(worker.health),
                plain(worker.name),
                plain(worker.host, QUIET_STYLE),
                _load(worker),
                bar(len(worker.executions) / max(1, worker.slots), 10, ACCENT_STYLE),
            ),
        )
        for worker in ordered(workers)
    )


def worker_rows(workers: Sequence[WorkerView]) -> tuple[Row, ...]:
    """All about each worker."""
    return tuple(_row(worker) for worker in ordered(workers))


def _row(worker: WorkerView) -> Row:
    bad = worker.health in (WorkerHealth.DEAD, WorkerHealth.QUIET)
    return Row(
        key=worker.name,
        cells=(
            health(worker.health),
            plain(worker.name, "bold"),
            plain(worker.host),
            Content(str(worker.pid or "–")),
            _load(worker),
            bar(len(worker.executions) / max(1, worker.slots), 10, ACCENT_STYLE),
            Content.styled(brief(worker.silent_seconds), WARN_STYLE if bad else QUIET_STYLE),
            Content(short(worker.successful)),
            Content.styled(short(worker.failed), BAD_STYLE if worker.failed else QUIET_STYLE),
            Content(size(worker.rss_bytes)),
            plain(", ".join(worker.queues), QUIET_STYLE),
            plain(worker.version, QUIET_STYLE),
        ),
    )


def _load(worker: WorkerView) -> Content:
    return Content.assemble((str(len(worker.executions)), "bold"), (f" of {worker.slots}", QUIET_STYLE))


def run_rows(worker: WorkerView | None, now: datetime | None) -> tuple[Row, ...]:
    """What a worker has in hand, longest first."""
    runs = sorted(worker.executions, key=lambda run: -run.elapsed_seconds) if worker else []
    return tuple(_run(run, now) for run in runs)


def _run(run: ExecutionView, now: datetime | None) -> Row:
    limit = run.timeout_seconds
    part = run.elapsed_seconds / limit if limit else 0.0
    done = run.percent / 100 if run.percent is not None else part
    return Row(
        key=run.job_id,
        cells=(
            plain(run.job_id),
            plain(run.queue, QUIET_STYLE),
            plain(short_name(run.function)),
            plain(run.step, QUIET_STYLE),
            bar(done, 12, BAD_STYLE if run.overdue else ACCENT_STYLE),
            Content.styled(span(run.elapsed_seconds), f"bold {BAD_STYLE}" if run.overdue else ""),
            Content.styled(span(limit) if limit else "none", QUIET_STYLE),
            _lease(run, now),
        ),
    )


def _lease(run: ExecutionView, now: datetime | None) -> Content:
    if run.lease_until is None or now is None:
        return Content.styled("–", QUIET_STYLE)
    if run.lease_until < now:
        return Content.styled(f"{BAD} {brief(since(run.lease_until, now))} ago", BAD_STYLE)
    return Content.styled(until(run.lease_until, now), QUIET_STYLE)


def short_name(function: str) -> str:
    """The last part of a dotted name."""
    return safe(function).rpartition(".")[2]
