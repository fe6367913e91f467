"""View 4: workers, how they are, and what each has in hand."""

from __future__ import annotations

from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive

from console.figures import age, whole
from console.marks import QUIET_STYLE
from console.messages import JobOpened
from console.sections import LOOKING, Shown
from console.text import safe
from console.views.base import View
from console.widgets.heading import Heading
from console.widgets.table import Table
from console.widgets.workers import COLUMNS, RUN_COLUMNS, living, run_rows, worker_rows
from fixionmail.ops.views.redis import WorkerView


class Workers(View):
    """Workers above, what the chosen one has in hand below."""

    crew: reactive[Shown[tuple[WorkerView, ...]]] = reactive(Shown())
    moment: reactive[datetime | None] = reactive(None)
    main_table = "#workers"

    def compose(self) -> ComposeResult:
        """Both tables."""
        yield Heading("Workers", id="head-all-workers")
        yield Table(*COLUMNS, empty=LOOKING, id="workers")
        yield Heading("In hand", id="head-runs")
        yield Table(*RUN_COLUMNS, empty="It has nothing in hand.", id="runs")

    def watch_crew(self) -> None:
        workers = self.crew.value or ()
        table = self.query_one("#workers", Table)
        table.rows = worker_rows(workers)
        table.set_empty(self.crew.nothing("No worker runs. In Processes, S starts one."))
        slots = sum(worker.slots for worker in living(workers))
        busy = sum(len(worker.executions) for worker in workers)
        note = f"{whole(busy)} of {whole(slots)} slots are busy" if workers else ""
        self.query_one("#head-all-workers", Heading).tell(self.crew, note)
        self._show_runs()

    @on(Table.Chosen, "#workers")
    def choose(self) -> None:
        """Show what it has in hand."""
        self._show_runs()

    def _show_runs(self) -> None:
        worker = self._worker()
        self.query_one("#runs", Table).rows = run_rows(worker, self.moment)
        words = ""
        if worker is not None:
            born = f", up {age(worker.born_at, self.moment)}" if worker.born_at and self.moment else ""
            words = f"{safe(worker.name)} on {safe(worker.host)}, pid {worker.pid}{born}"
        self.query_one("#head-runs", Heading).note = Content.styled(words, QUIET_STYLE)

    def _worker(self) -> WorkerView | None:
        key = self.query_one("#workers", Table).key
        return next((worker for worker in self.crew.value or () if worker.name == key), None)

    @on(Table.Opened, "#runs")
    def open_job(self, event: Table.Opened) -> None:
        """Show the job."""
        self.post_message(JobOpened(event.key))

    @on(Table.Opened, "#workers")
    def enter_runs(self) -> None:
        """Go down to what it has in hand."""
        self.query_one("#runs", Table).focus()

    def do(self, command_id: str) -> bool:
        """Open a job, or go to the lower table."""
        if command_id != "open":
            return False
        runs = self.query_one("#runs", Table)
        if runs.has_focus and runs.chosen:
            self.post_message(JobOpened(runs.key))
        else:
            runs.focus()
        return True

    def targets(self, action: str) -> tuple[str, ...]:
        """The chosen worker; to stop jobs, the chosen job or all that the worker holds."""
        if action != "stop-job":
            key = self.query_one("#workers", Table).key
            return (key,) if key else ()
        runs = self.query_one("#runs", Table)
        if runs.has_focus and runs.chosen:
            return (runs.key,)
        worker = self._worker()
        return tuple(run.job_id for run in worker.executions) if worker else ()

    def copied(self) -> str:
        """The worker's name, or the job's id."""
        runs = self.query_one("#runs", Table)
        return runs.key if runs.has_focus else self.query_one("#workers", Table).key

    def back(self) -> bool:
        """Up to the workers again."""
        if self.query_one("#runs", Table).has_focus:
            self.query_one("#workers", Table).focus()
            return True
        return False
