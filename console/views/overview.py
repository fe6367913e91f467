"""View 1: whether today's stories go out, at one glance."""

from __future__ import annotations

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
from console.sections import Shown
from console.views.base import View
from console.widgets.attention import CALM, LOOKING, AttentionStrip, strip_rows
from console.widgets.chart import Chart
from console.widgets.funnel import Funnel
from console.widgets.heading import Heading
from console.widgets.leaders import Leaders
from console.widgets.queues import COLUMNS, queue_rows
from console.widgets.table import Table
from console.widgets.workers import COMPACT_COLUMNS, compact_rows
from fixionmail.ops.views.database import FunnelView, LoopView
from fixionmail.ops.views.findings import Finding
from fixionmail.ops.views.redis import QueueView, WorkerView

HISTORY_SECONDS = 6 * 3600
SERIES = "done"


class Overview(View):
    """The attention strip, the day's stories, the queues, the loops and the workers."""

    funnel: reactive[Shown[FunnelView]] = reactive(Shown())
    queues: reactive[Shown[tuple[QueueView, ...]]] = reactive(Shown())
    crew: reactive[Shown[tuple[WorkerView, ...]]] = reactive(Shown())
    loops: reactive[Shown[tuple[LoopView, ...]]] = reactive(Shown())
    findings: reactive[tuple[Finding, ...]] = reactive(())
    moment: reactive[datetime | None] = reactive(None)
    main_table = "#attention"

    def compose(self) -> ComposeResult:
        """Worst first, then the day, then the machinery."""
        yield AttentionStrip()
        yield Heading("Today's stories", id="head-funnel")
        yield Funnel().data_bind(Overview.funnel)
        yield Heading("Queues", id="head-queues")
        yield Table(*COLUMNS, empty="No queues yet.", fitted=True, id="queues")
        with Horizontal(id="machinery"):
            with Vertical(id="loops"):
                yield Heading("Leaders", id="head-loops")
                yield Leaders().data_bind(Overview.loops, Overview.moment)
            with Vertical(id="crew"):
                yield Heading("Workers", id="head-workers")
                yield Table(
                    *COMPACT_COLUMNS, empty="No worker runs.", head=False, fitted=True, id="crew-table"
                )
        with Vertical(id="past"):
            yield Heading("Jobs done a minute", "last 6 hours")
            yield Chart(id="chart")

    def shown(self) -> None:
        """Ask for the curve."""
        self.post_message(HistoryWanted(SERIES, HISTORY_SECONDS))

    def looked(self) -> None:
        """Move the curve on."""
        self.shown()

    def focus_first(self) -> None:
        """The strip while there is trouble, else the queues."""
        name = "#attention" if self.findings else "#queues"
        self.query_one(name, Table).focus()

    def set_history(self, samples: tuple[tuple[float, float], ...]) -> None:
        """The curve's samples."""
        self.query_one(Chart).samples = samples

    def watch_findings(self) -> None:
        keys = [key_of(BY_ID[f"cure-{number}"], {}) for number in range(1, len(CURE_KEYS) + 1)]
        strip = self.query_one(AttentionStrip)
        strip.set_empty(CALM if self.moment else LOOKING)
        strip.rows = strip_rows(self.findings, keys, self.moment)

    def watch_moment(self) -> None:
        self.watch_findings()
        self.watch_queues()

    def watch_funnel(self) -> None:
        seen = self.funnel.value
        note = f"{seen.day:%a %d %b}, local dates" if seen else ""
        self.query_one("#head-funnel", Heading).tell(self.funnel, note)

    def watch_queues(self) -> None:
        queues = self.queues.value or ()
        self.query_one("#queues", Table).rows = queue_rows(queues, self.moment)
        self.query_one("#head-queues", Heading).tell(self.queues, _totals(queues))

    def watch_crew(self) -> None:
        workers = self.crew.value or ()
        self.query_one("#crew-table", Table).rows = compact_rows(workers)
        busy = sum(len(worker.executions) for worker in workers)
        note = f"{len(workers)} with {whole(busy)} jobs in hand" if workers else ""
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
        """Open what is chosen."""
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

    def copied(self) -> str:
        """The chosen trouble's subject, or the chosen queue."""
        strip = self.query_one(AttentionStrip)
        if strip.has_focus and self.findings:
            chosen = next((f for f in self.findings if f.key == strip.key), self.findings[0])
            return ",".join(chosen.subjects)
        return self.query_one("#queues", Table).key


def _totals(queues: tuple[QueueView, ...]) -> Content:
    if not queues:
        return Content("")
    waiting = sum(queue.waiting for queue in queues)
    out = [queue.out_per_minute for queue in queues if queue.out_per_minute is not None]
    words = f"{short(waiting)} wait" + (f", {rate(sum(out))} done" if out else "")
    return Content.styled(words, QUIET_STYLE)
