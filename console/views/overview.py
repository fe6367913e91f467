"""View 1: whether today's stories go out, at one glance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive

from console.commands import BY_ID, CURE_KEYS, Command, key_of
from console.figures import rate, short, whole
from console.marks import QUIET_STYLE
from console.messages import FindingOpened, HistoryWanted, JobsFiltered
from console.screens.base import keys_of
from console.sections import LOOKING, Shown
from console.text import safe
from console.views.base import View
from console.widgets.attention import AttentionStrip, calm, strip_rows
from console.widgets.chart import Chart
from console.widgets.funnel import Funnel
from console.widgets.heading import Heading
from console.widgets.leaders import Leaders
from console.widgets.masthead import Pulse
from console.widgets.queues import columns, queue_rows
from console.widgets.table import Table
from console.widgets.workers import COMPACT_COLUMNS, compact_rows, living
from fixionmail.ops.history import Curve
from fixionmail.ops.views.database import FunnelView, LoopView
from fixionmail.ops.views.findings import Finding
from fixionmail.ops.views.redis import QueueView, WorkerView

SPANS = (("1 hour", 3600), ("6 hours", 6 * 3600), ("7 days", 7 * 86_400), ("1 year", 365 * 86_400))
CURVES_EVERY_SECONDS = 20.0
"""A point of the shortest curve stands for fifteen seconds: they need not be read at every look."""


class Overview(View):
    """The attention strip, the day's stories, the queues, the loops and the workers."""

    funnel: reactive[Shown[FunnelView]] = reactive(Shown())
    queues: reactive[Shown[tuple[QueueView, ...]]] = reactive(Shown())
    crew: reactive[Shown[tuple[WorkerView, ...]]] = reactive(Shown())
    loops: reactive[Shown[tuple[LoopView, ...]]] = reactive(Shown())
    findings: reactive[tuple[Finding, ...]] = reactive(())
    moment: reactive[datetime | None] = reactive(None)
    pulse: reactive[Pulse] = reactive(Pulse())
    main_table = "#attention"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._span = 0
        self._curves: Mapping[str, Curve] = {}
        self._curves_of = ""
        """The queue that was gone to."""
        self._has_queues = False
        self._read_at = float("-inf")

    def compose(self) -> ComposeResult:
        """Worst first, then the day, then the machinery."""
        yield AttentionStrip()
        yield Heading("Today's stories", id="head-funnel")
        yield Funnel().data_bind(Overview.funnel)
        yield Heading("Queues", id="head-queues")
        yield Table(*columns(SPANS[0][0]), empty=LOOKING, fitted=True, id="queues")
        with Horizontal(id="machinery"):
            with Vertical(id="loops"):
                yield Heading("Leaders", id="head-loops")
                yield Leaders().data_bind(Overview.loops, Overview.moment)
            with Vertical(id="crew"):
                yield Heading("Workers", id="head-workers")
                yield Table(*COMPACT_COLUMNS, empty=LOOKING, head=False, fitted=True, id="crew-table")
        with Horizontal(id="past"):
            for name, title in (("waiting", "Waiting"), ("done", "Done a minute")):
                with Vertical():
                    yield Heading(title, id=f"head-{name}")
                    yield Chart(id=f"chart-{name}")

    def shown(self) -> None:
        """Read the curves."""
        self._read_at = time.monotonic()
        self.post_message(HistoryWanted(SPANS[self._span][1]))

    def looked(self) -> None:
        """Move the curves on now and then."""
        if time.monotonic() - self._read_at >= CURVES_EVERY_SECONDS:
            self.shown()

    def focus_first(self) -> None:
        """The strip while there is trouble, else the queues."""
        name = "#attention" if self.findings else "#queues"
        self.query_one(name, Table).focus()

    def set_history(self, seconds: int, curves: Mapping[str, Curve]) -> None:
        """The curves of a span have come; those of another than the one that is shown are left aside."""
        name, shown = SPANS[self._span]
        if seconds == shown:
            self._curves = curves
            self.query_one("#queues", Table).columns = columns(name)
            self.watch_queues()
            self._draw_past()

    def on_descendant_focus(self) -> None:
        if not self.query_one("#queues", Table).has_focus:
            self._show_curves_of("")

    @on(Table.Chosen, "#queues")
    def choose_queue(self, event: Table.Chosen) -> None:
        """The curves are those of the queue that was gone to; of all while none was."""
        self._show_curves_of(event.key if self._has_queues else "")
        self._has_queues = True

    def _show_curves_of(self, queue: str) -> None:
        self._curves_of = queue
        self._draw_past()

    def _draw_past(self) -> None:
        chosen = self._curves_of
        note = f"{safe(chosen) or 'all queues'}, {SPANS[self._span][0]}"
        for name in ("waiting", "done"):
            series = f"{name}:{chosen}" if chosen else name
            self.query_one(f"#chart-{name}", Chart).curve = self._curves.get(series, ())
            self.query_one(f"#head-{name}", Heading).note = Content.styled(note, QUIET_STYLE)

    def watch_findings(self) -> None:
        keys = [
            key_of(BY_ID[f"cure-{number}"], keys_of(self.screen)) for number in range(1, len(CURE_KEYS) + 1)
        ]
        self.query_one(AttentionStrip).rows = strip_rows(self.findings, keys, self.moment)

    def watch_pulse(self) -> None:
        words = "All is well: nothing is late, lost or sent twice."
        self.query_one(AttentionStrip).set_empty(calm(words, self.moment, self.pulse))

    def watch_moment(self) -> None:
        self.watch_pulse()
        self.watch_findings()
        self.watch_queues()

    def watch_funnel(self) -> None:
        seen = self.funnel.value
        note = f"{seen.day:%a %d %b}, local dates" if seen else ""
        self.query_one("#head-funnel", Heading).tell(self.funnel, note)

    def watch_queues(self) -> None:
        queues = self.queues.value or ()
        table = self.query_one("#queues", Table)
        table.rows = queue_rows(queues, self.moment, self._curves)
        table.set_empty(self.queues.nothing("No queues yet."))
        self.query_one("#head-queues", Heading).tell(self.queues, _totals(queues))

    def watch_crew(self) -> None:
        workers = self.crew.value or ()
        table = self.query_one("#crew-table", Table)
        table.rows = compact_rows(workers)
        table.set_empty(self.crew.nothing("No worker runs."))
        busy = sum(len(worker.executions) for worker in workers)
        note = f"{len(living(workers))} with {whole(busy)} jobs in hand" if workers else ""
        self.query_one("#head-workers", Heading).tell(self.crew, note)

    def watch_loops(self) -> None:
        self.query_one("#head-loops", Heading).tell(self.loops)

    @on(Table.Opened, "#attention")
    def open_finding(self, event: Table.Opened) -> None:
        """Show why."""
        self.post_message(FindingOpened(event.key))

    @on(Table.Opened, "#queues")
    def open_queue(self, event: Table.Opened) -> None:
        """Show its jobs."""
        self.post_message(JobsFiltered(f"queue:{event.key}"))

    def do(self, command_id: str) -> bool:
        """Open what is chosen, or show another span of time."""
        if command_id == "span":
            self._span = (self._span + 1) % len(SPANS)
            self.shown()
            return True
        if command_id != "open":
            return False
        for table in self.query(Table):
            if table.has_focus and table.chosen:
                table.post_message(Table.Opened(table, table.key))
        return True

    def targets(self, action: str) -> tuple[str, ...]:
        """The chosen queue."""
        return (self.query_one("#queues", Table).key,) if action in ("pause-queue", "resume-queue") else ()

    def action_of(self, command: Command) -> str:
        """A closed queue is opened by the same key."""
        chosen = self.query_one("#queues", Table).key
        closed = any(queue.paused and queue.name == chosen for queue in self.queues.value or ())
        return "resume-queue" if closed and command.action == "pause-queue" else command.action

    def chosen_finding(self) -> Finding | None:
        """The trouble that is gone to in the strip."""
        strip = self.query_one(AttentionStrip)
        chosen = (finding for finding in self.findings if finding.key == strip.key)
        return next(chosen, None) if strip.has_focus else None

    def copied(self) -> str:
        """The chosen trouble's subject, or the chosen queue."""
        finding = self.chosen_finding()
        return ",".join(finding.subjects) if finding else self.query_one("#queues", Table).key


def _totals(queues: tuple[QueueView, ...]) -> Content:
    if not queues:
        return Content("")
    waiting = sum(queue.waiting for queue in queues)
    out = [queue.out_per_minute for queue in queues if queue.out_per_minute is not None]
    words = f"{short(waiting)} wait" + (f", {rate(sum(out))} done" if out else "")
    return Content.styled(words, QUIET_STYLE)
