"""The deployment in numbers, in the text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fixionmail.ops.status import LOOPS, Status, funnel


def prometheus_text(status: Status) -> bytes:
    """What is known at one look. Everything is a gauge: the database keeps the counts, not this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Look(status))
    return generate_latest(registry)


class _Look(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        yield from _work(self._status)
        yield from _processes(self._status)
        yield from _hindrances(self._status)


def _work(status: Status) -> Iterator[Metric]:
    view = status.overview
    yield _labelled("jobs_today", "Story jobs of the day by state.", "state", view.jobs)
    yield _labelled("deliveries_today", "Deliveries of the day by state.", "state", view.deliveries)
    yield _labelled("stories_today", "The day's stories from planned to delivered.", "step", funnel(view))
    yield _gauge("jobs_waiting", "Story jobs that wait to be written.", view.jobs_waiting)
    yield _gauge("jobs_running", "Story jobs being written.", view.jobs_running)
    yield _gauge("deliveries_due", "Deliveries that are due and not on their way.", view.deliveries_due)
    overdue = _seconds(view.oldest_due_at, view.now)
    yield _gauge("delivery_overdue_seconds", "Age of the oldest delivery that is due.", overdue)
    for name, text in (("waiting", "wait"), ("running", "run"), ("failed", "have failed")):
        rows = {queue.name: getattr(queue, name) for queue in status.queues}
        yield _labelled(f"queue_{name}", f"Jobs in the queue that {text}.", "queue", rows)


def _processes(status: Status) -> Iterator[Metric]:
    yield _gauge("up", "The database answered.", 1)
    yield _gauge("redis_up", "Redis answers, or none is used.", int(status.redis in ("ok", "not used")))
    yield _gauge("queue_mode", "1 in queue mode, 0 in fallback.", int(status.mode == "queue"))
    yield _gauge("workers", "Workers that report themselves.", len(status.workers))
    led = {loop: int(status.leader(loop) is not None) for loop in LOOPS}
    yield _labelled("loop_led", "1 while somebody leads the loop.", "loop", led)
    ticks = {loop: _since_tick(status, loop) for loop in LOOPS}
    known = {loop: seconds for loop, seconds in ticks.items() if seconds is not None}
    yield _labelled("loop_last_tick_seconds", "Time since the loop's last tick.", "loop", known)


def _hindrances(status: Status) -> Iterator[Metric]:
    on = {switch.name: 1 for switch in status.overview.switches}
    switches = {name: on.get(name, 0) for name in ("mail_held", "scheduler_paused")}
    yield _labelled("switch_on", "1 while an operator's switch is on.", "switch", switches)
    lines = status.overview.lines
    paused = {line.name: int(line.paused_until is not None) for line in lines}
    yield _labelled("line_paused", "1 while the line to the mail provider waits.", "line", paused)
    rates = {line.name: line.rate for line in lines}
    yield _labelled(
        "line_requests_per_second", "Requests a second that the line allows itself.", "line", rates
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fixionmail_{name}", text, value=value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"fixionmail_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _seconds(at: datetime | None, now: datetime) -> float:
    return (now - at).total_seconds() if at else 0.0


def _since_tick(status: Status, loop: str) -> float | None:
    leader = status.leader(loop)
    try:
        return (
            _seconds(datetime.fromisoformat(str(leader.info["last_tick_at"])), status.overview.now)
            if leader
            else None
        )
    except (KeyError, ValueError, TypeError):
        return None
