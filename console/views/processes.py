"""View 7: the processes of this machine, and the log of the chosen one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive

from console.commands import Command
from console.feed import LogTail, ProcessRow
from console.figures import age, size
from console.marks import BAD, BAD_STYLE, BUSY, GOOD, HELD, IDLE, OK_STYLE, QUIET_STYLE, WARN_STYLE
from console.messages import LogWanted, ProcessesWanted
from console.sections import LOOKING, UNKNOWN, Shown
from console.text import plain, safe
from console.views.base import View
from console.widgets.heading import Heading
from console.widgets.logtail import LogView
from console.widgets.table import Column, Row, Table

COLUMNS = (
    Column(name="state", width=15),
    Column(name="process", width=12, grow=18),
    Column(name="pid", width=7, right=True, rank=1),
    Column(name="up", width=8, right=True),
    Column(name="cpu", width=5, right=True, rank=2),
    Column(name="memory", width=8, right=True, rank=2),
    Column(name="restarts", width=8, right=True, rank=4),
    Column(name="", least=12, rank=3),
)
_STATES = {
    "running": (GOOD, OK_STYLE),
    "stopped": (IDLE, QUIET_STYLE),
    "starting": (BUSY, WARN_STYLE),
    "stopping": (HELD, WARN_STYLE),
    "backing off": (HELD, WARN_STYLE),
    "crash-looping": (BAD, BAD_STYLE),
    "failed": (BAD, BAD_STYLE),
}


def process_rows(processes: Sequence[ProcessRow], now: datetime | None) -> tuple[Row, ...]:
    """A row for each process."""
    return tuple(_row(process, now) for process in processes)


def _row(process: ProcessRow, now: datetime | None) -> Row:
    mark, style = _STATES.get(process.state, (IDLE, ""))
    ended = f"last end: {process.last_end}" if process.last_end else ""
    words = " · ".join(part for part in (process.about, ended) if part)
    cpu = "–" if process.cpu_percent is None else f"{process.cpu_percent:.0f}%"
    return Row(
        key=process.name,
        cells=(
            Content.styled(f"{mark} {safe(process.state)}", style),
            plain(process.name, "bold"),
            Content(str(process.pid or "–")),
            Content(age(process.started_at, now) if process.started_at and now else "–"),
            Content(cpu),
            Content(size(process.rss_bytes)),
            Content.styled(str(process.restarts), BAD_STYLE if process.restarts else QUIET_STYLE),
            plain(words, QUIET_STYLE),
        ),
    )


class Processes(View):
    """Processes above, the chosen one's log below."""

    moment: reactive[datetime | None] = reactive(None)
    main_table = "#processes"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._processes: tuple[ProcessRow, ...] = ()
        self._position = ""
        self._log_of = ""

    def compose(self) -> ComposeResult:
        """The table and the log."""
        yield Heading("Processes on this machine", id="head-processes")
        yield Table(*COLUMNS, empty=LOOKING, id="processes")
        yield Heading("Log", id="head-log")
        yield LogView(id="log")

    @property
    def table(self) -> Table:
        """The table."""
        return self.query_one("#processes", Table)

    @property
    def log_view(self) -> LogView:
        """The log."""
        return self.query_one(LogView)

    def shown(self) -> None:
        """Ask for processes and log."""
        self.post_message(ProcessesWanted())
        self._ask_log()

    def looked(self) -> None:
        """Ask again."""
        self.shown()

    def set_processes(self, processes: tuple[ProcessRow, ...]) -> None:
        """They have come."""
        self._processes = processes
        self.table.rows = process_rows(processes, self.moment)
        self.table.set_empty(Content("Nothing of ours runs here. S starts everything."))
        running = sum(process.state == "running" for process in processes)
        self.query_one("#head-processes", Heading).tell(Shown(), f"{running} of {len(processes)} run")

    def set_error(self, words: str) -> None:
        """They could not be found."""
        self.table.set_empty(UNKNOWN)
        self.query_one("#head-processes", Heading).tell(Shown(error=words))

    def set_log(self, name: str, tail: LogTail) -> None:
        """More of the log."""
        if name == self._log_of:
            self._position = tail.position
            self.log_view.add(tail.lines)
            self._log_words()

    def set_log_error(self, name: str, words: str) -> None:
        """The log cannot be read."""
        if name == self._log_of:
            self.query_one("#head-log", Heading).tell(Shown(error=words))

    @on(Table.Chosen, "#processes")
    def choose(self, event: Table.Chosen) -> None:
        """Show its log."""
        self._log_of, self._position = event.key, ""
        self.log_view.clear()
        self._log_words()
        self._ask_log()

    @on(Table.Opened, "#processes")
    def enter_log(self) -> None:
        """Go down to the log."""
        self.log_view.focus()

    def _ask_log(self) -> None:
        if self._log_of:
            self.post_message(LogWanted(self._log_of, self._position))

    def _log_words(self) -> None:
        log = self.log_view
        parts = [safe(self._log_of)]
        parts.append("following" if log.following else "standing still, f follows")
        if log.pattern:
            parts.append(f"only lines with {safe(log.pattern)}")
        self.query_one("#head-log", Heading).tell(Shown(), " · ".join(parts))

    def do(self, command_id: str) -> bool:
        """Follow the log, or go to it."""
        if command_id == "follow":
            self.log_view.following = not self.log_view.following
            self._log_words()
        elif command_id == "open":
            self.log_view.focus()
        else:
            return False
        return True

    def action_of(self, command: Command) -> str:
        """Where nothing has ever run, all that is needed is started."""
        nothing = not self._processes and command.action == "start-process"
        return "start-everything" if nothing else command.action

    def targets(self, action: str) -> tuple[str, ...]:
        """The chosen process; to scale, its kind."""
        chosen = next((process for process in self._processes if process.name == self.table.key), None)
        if chosen is None:
            return ("all",) if action == "start-everything" else ()
        return (chosen.kind,) if action in ("scale-up", "scale-down") else (chosen.name,)

    def copied(self) -> str:
        """The process's name."""
        return self.table.key

    def command_line(self) -> str:
        """The command that shows the same."""
        return (
            f"fixionmail processes logs {self.table.key}" if self.table.key else "fixionmail processes list"
        )

    def filter_text(self) -> str:
        """What the log is filtered by."""
        return self.log_view.pattern

    def note(self) -> str:
        """The log's filter."""
        return self.log_view.pattern

    def set_filter(self, text: str) -> None:
        """Show only lines that hold the text."""
        self.log_view.pattern = text
        self._log_words()

    def back(self) -> bool:
        """From the log to the table; then the filter goes."""
        if self.log_view.has_focus:
            self.table.focus()
            return True
        if self.log_view.pattern:
            self.set_filter("")
            return True
        return False
