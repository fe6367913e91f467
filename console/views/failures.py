"""View 3: failures by what went wrong, with their trend."""

from __future__ import annotations

import re
from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive

from console.figures import age, brief, plural, since, whole
from console.marks import BAD_STYLE, GOOD, OK_STYLE, QUIET_STYLE, curve
from console.messages import FailuresWanted, JobsFiltered
from console.sections import UNKNOWN, Shown
from console.text import block, fit, plain, safe
from console.views.base import View
from console.widgets.heading import Heading
from console.widgets.panel import Drawn
from console.widgets.table import Column, Row, Table
from console.widgets.workers import short_name
from fixionmail.ops.views.jobs import FailureGroup
from fixionmail.ops.views.redis import QueueView

HOURS = 24
COLUMNS = (
    Column(name="count", width=7, right=True),
    Column(name="last 24 hours", width=HOURS, rank=2),
    Column(name="error", least=24),
    Column(name="function", width=16, rank=3),
    Column(name="queues", width=14, rank=4),
    Column(name="first", width=5, right=True, rank=1),
    Column(name="last", width=5, right=True),
)


def failure_rows(groups: tuple[FailureGroup, ...], now: datetime | None) -> tuple[Row, ...]:
    """A row for each fingerprint."""
    return tuple(
        Row(
            key=group.fingerprint,
            cells=(
                Content.styled(whole(group.count), f"bold {BAD_STYLE}"),
                curve(group.per_hour, HOURS, BAD_STYLE),
                plain(group.error),
                plain(", ".join(short_name(name) for name in group.functions), QUIET_STYLE),
                plain(", ".join(group.queues), QUIET_STYLE),
                Content.styled(brief(since(group.first_at, now)) if now else "–", QUIET_STYLE),
                Content(brief(since(group.last_at, now)) if now else "–"),
            ),
        )
        for group in groups
    )


def recognizable(error: str) -> str:
    """The longest part of a fingerprint's error that stands in the errors themselves."""
    parts = [part.strip() for part in re.split(r"<\w+>|[\"…]", safe(error))]
    return max(parts, key=len, default="")


class FailureFacts(Drawn):
    """The chosen group in full."""

    group: reactive[FailureGroup | None] = reactive(None)
    moment: reactive[datetime | None] = reactive(None)

    def watch_group(self) -> None:
        self.redraw()

    def lines(self, width: int) -> list[Content]:
        """The error, when, where, and which jobs."""
        group = self.group
        if group is None:
            return [Content("")]
        now = self.moment
        spans = f"first {age(group.first_at, now)} ago, last {age(group.last_at, now)} ago" if now else ""
        counts = ", ".join(f"{safe(name)} {count}" for name, count in group.queues.items())
        facts = [
            ("when", Content(spans)),
            ("where", Content(counts)),
            ("jobs", plain(", ".join(group.sample_ids))),
        ]
        lines = [
            line.truncate(width, ellipsis=True) for line in block(group.error, BAD_STYLE).split("\n")[:4]
        ]
        return lines + [
            fit(Content.assemble((f"{name:<7}", QUIET_STYLE), value), width) for name, value in facts
        ]


class Failures(View):
    """Groups above, the chosen one in full below."""

    queues: reactive[Shown[tuple[QueueView, ...]]] = reactive(Shown())
    moment: reactive[datetime | None] = reactive(None)
    main_table = "#failures"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._groups: tuple[FailureGroup, ...] = ()
        self._filter = ""
        self._failed = 0
        """How many jobs had failed when they were read."""

    def compose(self) -> ComposeResult:
        """Groups and facts."""
        yield Heading("Failures by cause", id="head-failures")
        yield Table(*COLUMNS, empty="looking …", id="failures")
        yield Heading("The chosen one", id="head-chosen")
        yield FailureFacts().data_bind(Failures.moment)

    @property
    def table(self) -> Table:
        """The table of groups."""
        return self.query_one("#failures", Table)

    def shown(self) -> None:
        """Read them."""
        self._failed = self._failed_now
        self.post_message(FailuresWanted())

    def looked(self) -> None:
        """Read them again when there are more or fewer."""
        if self._failed != self._failed_now:
            self.shown()

    @property
    def _failed_now(self) -> int:
        return sum(queue.failed for queue in self.queues.value or ())

    def set_groups(self, groups: tuple[FailureGroup, ...], *, reading: bool) -> None:
        """Groups, as far as they have been read."""
        self._groups = groups
        total = sum(group.count for group in groups)
        found = f"{plural(total, 'failure')} of {plural(len(groups), 'kind')}" if groups else ""
        words = ", ".join(filter(None, (found, "still reading …" if reading else "")))
        self.query_one("#head-failures", Heading).tell(Shown(), words)
        calm = Content.assemble((GOOD, OK_STYLE), " No job has failed for good.")
        self.table.set_empty(Content.styled("reading …", QUIET_STYLE) if reading else calm)
        self._draw()

    def set_error(self, words: str) -> None:
        """They could not be read."""
        self.table.set_empty(UNKNOWN)
        self.query_one("#head-failures", Heading).tell(Shown(error=words))

    def _draw(self) -> None:
        wanted = self._filter.lower()
        shown = tuple(group for group in self._groups if wanted in group.error.lower())
        self.table.rows = failure_rows(shown, self.moment)
        self._choose(self.table.key)

    @on(Table.Chosen, "#failures")
    def choose(self, event: Table.Chosen) -> None:
        """Show it in full."""
        self._choose(event.key)

    def _choose(self, key: str) -> None:
        self.query_one(FailureFacts).group = self._chosen(key)

    def _chosen(self, key: str = "") -> FailureGroup | None:
        wanted = key or self.table.key
        return next((group for group in self._groups if group.fingerprint == wanted), None)

    @on(Table.Opened, "#failures")
    def open_group(self) -> None:
        """Show its jobs."""
        self._list_jobs()

    def _list_jobs(self) -> None:
        group = self._chosen()
        if group is not None:
            self.post_message(JobsFiltered(f'state:failed err:"{recognizable(group.error)}"'))

    def do(self, command_id: str) -> bool:
        """Show the group's jobs."""
        if command_id == "open" and self.table.chosen:
            self._list_jobs()
            return True
        return False

    def targets(self, action: str) -> tuple[str, ...]:
        """All jobs of the group."""
        return (f"group:{self.table.key}",) if self.table.chosen else ()

    def copied(self) -> str:
        """The fingerprint."""
        return self.table.key

    def command_line(self) -> str:
        """The command that shows the same."""
        return "fixionmail jobs failures"

    def filter_text(self) -> str:
        """The filter in force."""
        return self._filter

    def note(self) -> str:
        """The filter."""
        return self._filter

    def set_filter(self, text: str) -> None:
        """Show errors that hold the text."""
        self._filter = text
        self._draw()

    def back(self) -> bool:
        """Take the filter away."""
        if self._filter:
            self.set_filter("")
            return True
        return False
