"""The queues: how much waits, how long, how fast it comes and goes, and who works on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from textual.content import Content

from console.figures import age, rate, short, since, span, whole
from console.marks import BAD, BAD_STYLE, BLUE_STYLE, HELD, OK_STYLE, QUIET_STYLE, WARN_STYLE, bar, curve
from console.text import plain
from console.widgets.chart import fewer
from console.widgets.table import Column, Row
from fixionmail.ops.history import Curve
from fixionmail.ops.views.redis import QueueView

BAR = 12
SPARK = 24
OLD_SECONDS = 300
"""A job that has waited longer than this is marked."""
COLUMNS = (
    Column(name="queue", width=9, grow=20),
    Column(name="waiting", width=8, right=True),
    Column(name="", width=BAR, rank=3),
    Column(name="oldest", width=8, right=True),
    Column(name="running", width=7, right=True, rank=2),
    Column(name="in", width=7, right=True, rank=5),
    Column(name="out", width=7, right=True, rank=1),
    Column(name="drains in", width=9, right=True, rank=1),
    Column(name="failed", width=6, right=True),
    Column(name="workers", width=7, right=True),
    Column(name="done a minute", width=SPARK, rank=4),
    Column(name="", least=1, rank=6),
)


def columns(span: str) -> tuple[Column, ...]:
    """The columns, with curves over a span of time."""
    return (*COLUMNS[:-2], replace(COLUMNS[-2], name=f"done a minute, {span}"), COLUMNS[-1])


def queue_rows(
    queues: Sequence[QueueView], now: datetime | None, curves: Mapping[str, Curve]
) -> tuple[Row, ...]:
    """A row for each queue; the bars share one scale. ``curves``: what was kept, by series."""
    most = max((queue.waiting for queue in queues), default=0) or 1
    return tuple(_row(queue, most, now, curves.get(f"done:{queue.name}", ())) for queue in queues)


def _row(queue: QueueView, most: int, now: datetime | None, done: Curve) -> Row:
    waited = since(queue.oldest_waiting_at, now) if now else None
    late = waited is not None and waited > OLD_SECONDS
    unserved = queue.workers == 0 and queue.waiting > 0
    name = plain(queue.name, "bold")
    if queue.paused is not None:
        name = Content.assemble((f"{HELD} ", WARN_STYLE), plain(queue.name, f"bold {WARN_STYLE}"))
    oldest = age(queue.oldest_waiting_at, now) if now and queue.oldest_waiting_at else "–"
    return Row(
        key=queue.name,
        cells=(
            name,
            Content.styled(whole(queue.waiting), "bold" if queue.waiting else QUIET_STYLE),
            bar(queue.waiting / most, BAR, BAD_STYLE if unserved else BLUE_STYLE),
            Content.styled(oldest, WARN_STYLE if late else ""),
            Content(whole(queue.running)),
            Content.styled(rate(queue.in_per_minute), QUIET_STYLE),
            Content(rate(queue.out_per_minute)),
            _drain(queue),
            Content.styled(short(queue.failed), BAD_STYLE if queue.failed else QUIET_STYLE),
            _workers(queue, unserved),
            curve(fewer(done, SPARK) if done else (), SPARK, OK_STYLE),
            Content(""),
        ),
    )


def _drain(queue: QueueView) -> Content:
    if queue.paused is not None:
        return Content.styled("paused", WARN_STYLE)
    if queue.waiting == 0:
        return Content.styled("empty", QUIET_STYLE)
    if queue.drain_seconds is not None:
        return Content(span(queue.drain_seconds))
    known = queue.out_per_minute is not None and queue.in_per_minute is not None
    return Content.styled("grows" if known else "–", WARN_STYLE if known else QUIET_STYLE)


def _workers(queue: QueueView, unserved: bool) -> Content:
    if unserved:
        return Content.styled(f"{BAD} none", f"bold {BAD_STYLE}")
    return Content(whole(queue.workers))
