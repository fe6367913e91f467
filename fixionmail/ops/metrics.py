"""The deployment in numbers, in the text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fixionmail.ops.heartbeats import speaks
from fixionmail.ops.views.database import DeliveriesView
from fixionmail.ops.views.snapshot import Snapshot

SWITCHES = ("mail_held", "scheduler_paused")


def prometheus_text(seen: Snapshot | None) -> bytes:
    """What is known at one look, None being that nothing is; what does not answer has no numbers.

    Everything is a gauge: the database keeps the counts, not this process.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Look(seen))
    return generate_latest(registry)


class _Look(Collector):
    def __init__(self, seen: Snapshot | None) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        seen = self._seen
        yield _gauge("up", "1 while the database answers.", int(seen is not None and seen.database.ok))
        if seen is not None:
            yield from _redis(seen)
            yield from _work(seen)
            yield from _processes(seen)
            if seen.deliveries.value:
                yield from _hindrances(seen.deliveries.value)


def _redis(seen: Snapshot) -> Iterator[Metric]:
    yield _gauge("redis_up", "1 while Redis answers, or none is used.", int(not seen.redis.error))
    for name, text in (("waiting", "wait"), ("running", "run"), ("failed", "have failed")):
        rows = {queue.name: getattr(queue, name) for queue in seen.queues.value or ()}
        yield _labelled(f"queue_{name}", f"Jobs in the queue that {text}.", "queue", rows)


def _work(seen: Snapshot) -> Iterator[Metric]:
    funnel, mail = seen.funnel.value, seen.deliveries.value
    if funnel is None or mail is None:
        return
    yield _labelled("jobs_today", "Story jobs of the day by state.", "state", funnel.jobs)
    yield _labelled("deliveries_today", "Deliveries of the day by state.", "state", mail.states)
    yield _labelled("stories_today", "The day's stories from planned to delivered.", "step", funnel.steps)
    yield _gauge("jobs_waiting", "Story jobs that wait to be written.", mail.jobs_waiting)
    yield _gauge("jobs_running", "Story jobs being written.", mail.jobs_running)
    yield _gauge("deliveries_due", "Deliveries that are due and not on their way.", mail.due)
    overdue = _since(mail.oldest_due_at, seen)
    yield _gauge("delivery_overdue_seconds", "Age of the oldest delivery that is due.", overdue)


def _processes(seen: Snapshot) -> Iterator[Metric]:
    mode, processes, loops = seen.mode.value, seen.processes.value, seen.loops.value
    if mode is None or processes is None or loops is None:
        return
    yield _gauge("queue_mode", "1 in queue mode, 0 in fallback.", int(mode.mode == "queue"))
    workers = sum(process.kind == "worker" and speaks(process) for process in processes)
    yield _gauge("workers", "Workers that report themselves.", workers)
    led = {loop.name: int(loop.leader is not None) for loop in loops}
    yield _labelled("loop_led", "1 while somebody leads the loop.", "loop", led)
    ticks = {
        loop.name: _since(loop.last_tick_at, seen) for loop in loops if loop.leader and loop.last_tick_at
    }
    yield _labelled("loop_last_tick_seconds", "Time since the loop's last tick.", "loop", ticks)


def _hindrances(mail: DeliveriesView) -> Iterator[Metric]:
    on = {switch.name for switch in mail.switches}
    switches = {name: int(name in on) for name in SWITCHES}
    yield _labelled("switch_on", "1 while an operator's switch is on.", "switch", switches)
    paused = {line.name: int(line.paused_until is not None) for line in mail.lines}
    yield _labelled("line_paused", "1 while the line to the mail provider waits.", "line", paused)
    rates = {line.name: line.rate for line in mail.lines}
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


def _since(at: datetime | None, seen: Snapshot) -> float:
    return (seen.taken_at - at).total_seconds() if at else 0.0
