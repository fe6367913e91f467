"""View 5: deliveries by what became of them, and the duplicate check."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive
from textual.style import Style

from console.feed import TAB_STATES, DeliveryList, DeliveryRow, Duplicate
from console.figures import age, short, until
from console.marks import BAD, BAD_STYLE, GOOD, OK_STYLE, QUIET_STYLE, WARN_STYLE, state
from console.messages import DeliveriesWanted, DeliveryOpened
from console.sections import UNKNOWN, Shown
from console.text import plain, safe
from console.views.base import View
from console.widgets.heading import Heading
from console.widgets.panel import Drawn
from console.widgets.table import Column, Row, Table
from fixionmail.ops.views.database import DeliveriesView

TABS = ("upcoming", "sending", "uncertain", "failed", "duplicates")
MOST_ROWS = 600
COLUMNS = (
    Column(name="state", width=11),
    Column(name="when", width=10, right=True),
    Column(name="subscriber", least=18),
    Column(name="story", least=16, rank=2),
    Column(name="note", least=14, rank=1),
    Column(name="delivery", width=13, grow=36, rank=3),
)
_AT_FAULT = ("rejected", "missed", "failed")
"""Of those that failed the ones that somebody may want to look at; what mailboxes refuse is suppressed by itself."""
_CALM = {
    "upcoming": "No delivery waits for its time.",
    "sending": "Nothing is on its way right now.",
    "uncertain": "Every mail's fate is known.",
    "failed": "Every mail of today has been taken.",
    "duplicates": "Nobody was mailed twice, and every protection is in place.",
}


def what_is_wrong(seen: DeliveriesView) -> dict[str, int]:
    """How many deliveries of each tab are as none should be; what waits for a decision first."""
    return {
        "uncertain": seen.uncertain,
        "duplicates": seen.same_date + seen.accepted_twice + len(seen.missing_constraints),
        "sending": len(seen.witnesses.get("stuck", ())),
        "failed": sum(seen.states.get(state, 0) for state in _AT_FAULT),
    }


class Tabs(Drawn):
    """The tabs of the view with what each holds."""

    current: reactive[str] = reactive("upcoming")
    counts: reactive[DeliveriesView | None] = reactive(None)

    def lines(self, width: int) -> list[Content]:
        """One line."""
        return [Content("   ").join(self._tab(name) for name in TABS).truncate(width)]

    def _tab(self, name: str) -> Content:
        here = name == self.current
        words, bad = self._count(name)
        tab = Content.assemble(
            (name, "bold underline" if here else QUIET_STYLE),
            (f" {words}" if words else "", f"bold {WARN_STYLE}" if bad else QUIET_STYLE),
        )
        return tab.stylize(Style.from_meta({"@click": f"screen.tab('{name}')"}))

    def _count(self, name: str) -> tuple[str, bool]:
        seen = self.counts
        if seen is None:
            return "", False
        wrong = what_is_wrong(seen)
        counts = {
            "upcoming": seen.states.get("pending", 0),
            "sending": seen.sending,
            "failed": sum(seen.states.get(state, 0) for state in TAB_STATES["failed"]),
        }
        count = counts.get(name, wrong.get(name, 0))
        return (short(count) if count else "", bool(wrong.get(name)))


def _worst_tab(seen: DeliveriesView) -> str:
    return next((name for name, count in what_is_wrong(seen).items() if count), TABS[0])


def delivery_rows(rows: Sequence[DeliveryRow], now: datetime | None) -> tuple[Row, ...]:
    """A row for each delivery."""
    return tuple(
        Row(
            key=row.delivery_id,
            cells=(
                state(row.state),
                Content.styled(_when(row, now), QUIET_STYLE),
                plain(row.subscriber),
                plain(row.title, QUIET_STYLE),
                plain(row.note, WARN_STYLE),
                plain(row.delivery_id, QUIET_STYLE),
            ),
        )
        for row in rows
    )


def _when(row: DeliveryRow, now: datetime | None) -> str:
    if now is None or row.at is None:
        return "–"
    return until(row.at, now) if row.at > now else age(row.at, now)


def duplicate_rows(found: Sequence[Duplicate]) -> tuple[Row, ...]:
    """A row for each thing the check found."""
    return tuple(
        Row(
            key=f"{one.kind}:{one.subject}",
            cells=(
                Content.styled(f"{BAD} found", BAD_STYLE),
                plain(one.kind, QUIET_STYLE),
                plain(one.subject, "bold"),
                Content(f"{len(one.delivery_ids)} deliveries"),
                plain(one.detail, WARN_STYLE),
                plain(", ".join(one.delivery_ids), QUIET_STYLE),
            ),
        )
        for one in found
    )


class Deliveries(View):
    """A tab of deliveries at a time.

    It opens on the tab in which something is wrong; the operator's own choice stays until something else is.
    """

    deliveries: reactive[Shown[DeliveriesView]] = reactive(Shown())
    moment: reactive[datetime | None] = reactive(None)
    main_table = "#deliveries-table"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._tab = self._opened_on = "upcoming"
        self._arriving = False
        """It has come to the front, and nothing is known yet."""
        self._rows: tuple[DeliveryRow, ...] = ()
        self._duplicates: tuple[Duplicate, ...] = ()
        self._next = ""
        self._all_marked = False

    def compose(self) -> ComposeResult:
        """Tabs and table."""
        yield Heading("Deliveries", id="head-deliveries")
        yield Tabs()
        yield Table(*COLUMNS, empty="looking …", id="deliveries-table")

    @property
    def table(self) -> Table:
        """The table."""
        return self.query_one("#deliveries-table", Table)

    def watch_deliveries(self) -> None:
        if self._arriving:
            self._arrive()
        self.query_one(Tabs).counts = self.deliveries.value
        self.query_one("#head-deliveries", Heading).tell(self.deliveries, self._line_words())

    def _line_words(self) -> Content | str:
        if self.table.marked:
            words = (
                f"all of {self._tab} are marked" if self._all_marked else f"{len(self.table.marked)} marked"
            )
            return Content.styled(words, "$busy")
        seen = self.deliveries.value
        if seen is None or not seen.lines:
            return ""
        line = seen.lines[0]
        if line.paused_reason:
            return Content.styled(
                f"the line to {safe(line.name)} stands still: {safe(line.paused_reason)}", BAD_STYLE
            )
        return f"{safe(line.name)} takes {line.rate:g} requests a second"

    def shown(self) -> None:
        """Open on what is wrong, and ask for the tab."""
        if not self._arrive():
            self._ask("")

    def changed(self) -> None:
        """What became of it is seen where it was."""
        self._ask("")

    def left(self) -> None:
        """Whatever comes is for the next time."""
        self._arriving = False

    def _arrive(self) -> bool:
        """Go to the tab in which something is wrong; says whether there is another than at the last time."""
        seen = self.deliveries.value
        self._arriving = seen is None
        if seen is None:
            return False
        before, self._opened_on = self._opened_on, _worst_tab(seen)
        if self._opened_on != before:
            self.open_tab(self._opened_on)
        return self._opened_on != before

    def looked(self) -> None:
        """Ask again while at the top."""
        if self._tab != "duplicates" and self.table.scroll_offset.y == 0 and not self.table.marked:
            self._ask("")

    def open_tab(self, name: str) -> None:
        """Go to a tab."""
        self._tab, self._rows, self._duplicates = name, (), ()
        self.query_one(Tabs).current = name
        self._mark(frozenset())
        self.table.rows = ()
        self.table.set_empty(Content.styled("looking …", QUIET_STYLE))
        self._ask("")

    def set_page(self, tab: str, cursor: str, page: DeliveryList) -> None:
        """A page has come."""
        if tab != self._tab:
            return
        self._rows = (self._rows + page.rows)[-MOST_ROWS:] if cursor else page.rows
        self._next = page.next
        self._calm(page.absent)
        self.table.rows = delivery_rows(self._rows, self.moment)
        if self._all_marked:
            self._mark(self._keys, every=True)

    def set_duplicates(self, found: tuple[Duplicate, ...]) -> None:
        """The check has ended."""
        if self._tab == "duplicates":
            self._duplicates = found
            self._calm("")
            self.table.rows = duplicate_rows(found)

    def set_error(self, words: str) -> None:
        """They could not be read."""
        self.table.set_empty(UNKNOWN)
        self.query_one("#head-deliveries", Heading).tell(Shown(error=words))

    @on(Table.MoreWanted, "#deliveries-table")
    def load_more(self) -> None:
        """Ask for the next page."""
        if self._next and self._tab != "duplicates":
            following, self._next = self._next, ""
            self._ask(following)

    def do(self, command_id: str) -> bool:
        """Go to the next tab, or mark."""
        if command_id == "tab":
            self.open_tab(TABS[(TABS.index(self._tab) + 1) % len(TABS)])
        elif command_id in ("mark", "mark-all") and self._tab == "duplicates":
            pass  # what belongs together is changed together, one find at a time
        elif command_id == "mark" and self.table.chosen:
            self._mark(self.table.marked ^ {self.table.key})
            self.table.action_move(1)
        elif command_id == "mark-all":
            every = not self._all_marked
            self._mark(self._keys if every else frozenset(), every=every)
        elif command_id == "open" and self.table.chosen:
            self._open(self.table.key)
        else:
            return False
        return True

    @on(Table.Opened, "#deliveries-table")
    def open_delivery(self, event: Table.Opened) -> None:
        """Show it; of a duplicate, the first of its deliveries."""
        self._open(event.key)

    def _open(self, key: str) -> None:
        if self._tab == "duplicates":
            ids = self.targets("")
            if ids:
                self.post_message(DeliveryOpened(ids[0]))
        else:
            self.post_message(DeliveryOpened(key))

    @property
    def _keys(self) -> frozenset[str]:
        return frozenset(row.delivery_id for row in self._rows)

    def _mark(self, keys: frozenset[str], *, every: bool = False) -> None:
        """Mark these; ``every``: they stand for all that are in the tab, also those not loaded."""
        self._all_marked, self.table.marked = every and bool(keys), keys
        self.watch_deliveries()

    def targets(self, action: str) -> tuple[str, ...]:
        """The marked or chosen deliveries, ``query:…`` for all of the tab; of a duplicate, all of its deliveries; to
        suppress, their subscribers."""
        if self._all_marked:
            return (f"query:state:{','.join(TAB_STATES[self._tab])}",)
        if action == "suppress" and self._tab != "duplicates":
            ids = self.targets("")
            return tuple(dict.fromkeys(row.subscriber for row in self._rows if row.delivery_id in ids))
        if self._tab == "duplicates":
            found = next((d for d in self._duplicates if f"{d.kind}:{d.subject}" == self.table.key), None)
            return found.delivery_ids if found else ()
        if self.table.marked:
            return tuple(row.delivery_id for row in self._rows if row.delivery_id in self.table.marked)
        return (self.table.key,) if self.table.chosen else ()

    def chosen_state(self) -> str:
        """What became of the chosen delivery."""
        return next((row.state for row in self._rows if row.delivery_id == self.table.key), "")

    def copied(self) -> str:
        """The delivery's id."""
        return self.table.key

    def command_line(self) -> str:
        """The command that shows the same."""
        if self._tab == "duplicates":
            return "fixionmail deliveries duplicates"
        return (
            f"fixionmail deliveries show {self.table.key}" if self.table.key else "fixionmail deliveries list"
        )

    def note(self) -> str:
        """The tab."""
        return self._tab

    def back(self) -> bool:
        """Unmark."""
        if self.table.marked:
            self._mark(frozenset())
            return True
        return False

    def _ask(self, cursor: str) -> None:
        self.post_message(DeliveriesWanted(self._tab, cursor))

    def _calm(self, absent: str) -> None:
        words = Content.styled(safe(absent), QUIET_STYLE) if absent else None
        self.table.set_empty(words or Content.assemble((GOOD, OK_STYLE), f" {_CALM[self._tab]}"))
