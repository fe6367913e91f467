"""View 2: all jobs, newest first, filtered where they are kept and loaded page by page."""

from __future__ import annotations

from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive

from console.figures import age, whole
from console.marks import BAD_STYLE, QUIET_STYLE, state
from console.messages import JobOpened, JobsWanted
from console.sections import UNKNOWN, Shown
from console.text import plain, safe
from console.views.base import View
from console.widgets.heading import Heading
from console.widgets.table import Column, Row, Table
from console.widgets.workers import short_name
from fixionmail.errors import InputError
from fixionmail.ops import filters
from fixionmail.ops.views.jobs import JobPage, JobRow
from fixionmail.ops.views.redis import QueueView

STATES = (
    *("", "queued", "started", "failed", "finished", "scheduled", "deferred", "rate_limited"),
    *("ready", "canceled", "limbo"),
)
MOST_ROWS = 600
"""The table holds a window of at most so many rows."""
COLUMNS = (
    Column(name="state", width=11, grow=14),
    Column(name="age", width=8, right=True),
    Column(name="queue", width=9, grow=14, rank=2),
    Column(name="job", width=12, grow=36),
    Column(name="function", width=14, grow=22, rank=3),
    Column(name="about", least=16),
    Column(name="tries", width=5, right=True, rank=4),
    Column(name="worker", width=16, rank=5),
)


def job_rows(jobs: tuple[JobRow, ...], now: datetime | None) -> tuple[Row, ...]:
    """A row for each job."""
    return tuple(
        Row(
            key=job.job_id,
            cells=(
                state(job.state),
                Content.styled(age(job.at, now) if now and job.at else "–", QUIET_STYLE),
                plain(job.queue, QUIET_STYLE),
                plain(job.job_id),
                plain(short_name(job.function)),
                plain(job.broken or job.summary, BAD_STYLE if job.broken or job.state == "failed" else ""),
                Content(str(job.attempts) if job.attempts is not None else "–"),
                plain(job.worker, QUIET_STYLE),
            ),
        )
        for job in jobs
    )


class Jobs(View):
    """One table over all states."""

    queues: reactive[Shown[tuple[QueueView, ...]]] = reactive(Shown())
    moment: reactive[datetime | None] = reactive(None)
    main_table = "#jobs"
    commands_a_look = 1

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.query_text = ""
        self.all_marked = False
        self._jobs: tuple[JobRow, ...] = ()
        self._next = ""
        self._asked: str | None = None
        """The cursor of the page that is being read."""

    def compose(self) -> ComposeResult:
        """The table under its heading."""
        yield Heading("Jobs", id="head-jobs")
        yield Table(*COLUMNS, empty=Content("looking …"), id="jobs")

    @property
    def table(self) -> Table:
        """The table."""
        return self.query_one("#jobs", Table)

    def shown(self) -> None:
        """Ask for the newest."""
        self._ask("")

    def looked(self) -> None:
        """Ask again, unless the operator is further down than the first page. A search is not repeated unasked."""
        at_top = self.table.scroll_offset.y == 0 and not self.table.marked
        if at_top and self._asked is None and is_page(self.query_text):
            self._ask("")
        else:
            self._draw()

    def set_page(self, query: str, cursor: str, page: JobPage) -> None:
        """A page has come; one of another filter is late and left aside."""
        if query != self.query_text:
            return
        if cursor:
            known = {job.job_id for job in self._jobs}
            fresh = tuple(job for job in page.rows if job.job_id not in known)
            self._jobs = (self._jobs + fresh)[-MOST_ROWS:]
        else:
            self._jobs = page.rows
        self._next = page.next
        if self.all_marked:
            self.table.marked = frozenset(job.job_id for job in self._jobs)
        self.table.set_empty(self._nothing())
        self._draw()
        words = f"{whole(page.total)} in all" if not query else f"{whole(page.total)} match"
        note = f"{words} · {safe(page.note)}" if page.note else words
        parts = [Content.styled(safe(query), "$busy"), Content.styled(note, QUIET_STYLE)]
        marked = "all that match are marked" if self.all_marked else f"{len(self.table.marked)} marked"
        if self.table.marked:
            parts.append(Content.styled(marked, "$busy"))
        self.query_one("#head-jobs", Heading).note = Content(" · ").join(part for part in parts if part)

    def end_page(self, error: str) -> None:
        """All of the page has come, or it could not be read: then what is shown stays."""
        self._asked = None
        if error:
            self.table.set_empty(UNKNOWN)
            self.query_one("#head-jobs", Heading).tell(Shown(error=error))

    @on(Table.MoreWanted, "#jobs")
    def load_more(self) -> None:
        """Ask for the next page."""
        if self._next and self._asked != self._next:
            self._ask(self._next)

    @on(Table.Opened, "#jobs")
    def open_job(self, event: Table.Opened) -> None:
        """Show the job."""
        self.post_message(JobOpened(event.key))

    def do(self, command_id: str) -> bool:
        """Open, mark, or go to the next state."""
        if command_id == "open" and self.table.chosen:
            self.post_message(JobOpened(self.table.key))
        elif command_id == "states":
            self._next_state()
        elif command_id == "mark" and self.table.chosen:
            self.all_marked = False
            self.table.marked ^= {self.table.key}
            self.table.action_move(1)
        elif command_id == "mark-all":
            self.all_marked = not self.all_marked
            marked = frozenset(job.job_id for job in self._jobs) if self.all_marked else frozenset()
            self.table.marked = marked
        elif command_id == "refresh" and not is_page(self.query_text):
            self._ask("")
            return False
        else:
            return False
        return True

    def targets(self, action: str) -> tuple[str, ...]:
        """The marked jobs, or the chosen one; ``query:…`` stands for all that match."""
        if self.all_marked:
            return (f"query:{self.query_text}",)
        if self.table.marked:
            return tuple(job.job_id for job in self._jobs if job.job_id in self.table.marked)
        return (self.table.key,) if self.table.chosen else ()

    def copied(self) -> str:
        """The job's id."""
        return self.table.key

    def command_line(self) -> str:
        """The commands show the same."""
        return f"fixionmail jobs show {self.table.key}" if self.table.key else "fixionmail jobs list"

    def note(self) -> str:
        """The filter."""
        return self.query_text

    def filter_text(self) -> str:
        """The filter in force."""
        return self.query_text

    def filter_hints(self) -> tuple[str, ...]:
        """States, the queues there are, and the other words."""
        queues = tuple(f"queue:{safe(queue.name)}" for queue in self.queues.value or ())
        return tuple(f"state:{name}" for name in STATES[1:]) + queues + ("age>10m", "age<1h", "err:", "id:")

    def set_filter(self, text: str) -> None:
        """List what matches."""
        if text != self.query_text:
            self.query_text, self.all_marked = text, False
            self.table.marked = frozenset()
            self._ask("")

    def back(self) -> bool:
        """Unmark, then take the filter away."""
        if self.table.marked:
            self.table.marked, self.all_marked = frozenset(), False
            return True
        if self.query_text:
            self.set_filter("")
            return True
        return False

    def _ask(self, cursor: str) -> None:
        self._asked = cursor
        self.post_message(JobsWanted(self.query_text, cursor))

    def _draw(self) -> None:
        self.table.rows = job_rows(self._jobs, self.moment)

    def _nothing(self) -> Content:
        words = (
            f"No job matches {safe(self.query_text)}. Esc shows all." if self.query_text else "No jobs yet."
        )
        return Content.styled(words, QUIET_STYLE)

    def _next_state(self) -> None:
        words = self.query_text.split()
        now = next((word[6:] for word in words if word.startswith("state:")), "")
        following = STATES[(STATES.index(now) + 1) % len(STATES)] if now in STATES else ""
        rest = [word for word in words if not word.startswith("state:")]
        self.set_filter(" ".join([f"state:{following}", *rest] if following else rest))


def is_page(query: str) -> bool:
    """A page answers it; what has to be searched for costs many commands."""
    try:
        return filters.parse(query).is_plain
    except InputError:
        return True
