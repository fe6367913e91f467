"""A table that draws only what is seen, and whose choice follows the row's key wherever new data puts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from console.marks import ACCENT_STYLE, QUIET_STYLE
from console.text import fit

GAP = 2
GUTTER = 2
PLENTY = 20
"""Cells beyond its least that an elastic column gets before others grow."""
NEAR_END = 20
"""So many rows before the last one, more are asked for."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column. ``width`` 0: it takes the room that the others leave, at least ``least`` cells.

    ``rank``: where there is too little room, the column with the highest rank goes first; 0 stays. ``grow``: how wide
    it becomes where there is plenty. ``snug``: elastic, but no wider than what stands in it.
    """

    name: str
    width: int = 0
    grow: int = 0
    right: bool = False
    rank: int = 0
    least: int = 12
    snug: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row. A ``heading`` spans all columns and cannot be chosen."""

    key: str
    cells: tuple[Content, ...]
    heading: bool = False


def widths(columns: Sequence[Column], room: int, filled: Sequence[int] = ()) -> list[int]:
    """How wide each column is in ``room`` cells; 0 for those left out. ``filled``: the widest cell of each."""
    kept = list(range(len(columns)))
    while _needed(columns, kept) > room and (spare := max((columns[n].rank for n in kept), default=0)) > 0:
        kept.remove(next(n for n in reversed(kept) if columns[n].rank == spare))
    elastic = [n for n in kept if columns[n].width == 0]
    rest = room - _needed(columns, kept)
    given = [0] * len(columns)
    for n in kept:
        column = columns[n]
        more = min(column.grow - column.width, rest - (PLENTY if elastic else 0)) if column.grow else 0
        given[n] = (column.width or column.least) + max(0, more)
        rest -= max(0, more)
    for n in [n for n in elastic if columns[n].snug and filled]:
        more = max(0, min(rest, filled[n] - given[n]))
        given[n], rest = given[n] + more, rest - more
        elastic.remove(n)
    for index, n in enumerate(elastic):
        given[n] = max(1, given[n] + rest // len(elastic) + (1 if index < rest % len(elastic) else 0))
    return given


def _filled(rows: Sequence[Row]) -> tuple[int, ...]:
    columns = zip(*(row.cells for row in rows if not row.heading), strict=True)
    return tuple(max(cell.cell_length for cell in column) for column in columns)


def _needed(columns: Sequence[Column], kept: Sequence[int]) -> int:
    return sum(columns[n].width or columns[n].least for n in kept) + GAP * max(0, len(kept) - 1)


class Table(ScrollView, can_focus=True):
    """Rows under a heading line. Keys: arrows, pages, Home, End; a second click opens.

    Args:
        columns: left to right.
        empty: what stands where there are no rows.
        head: name the columns.
        fitted: as high as its rows.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--head",
        "table--row",
        "table--chosen",
        "table--chosen-far",
        "table--marked",
        "table--heading",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "first", show=False),
        Binding("end", "last", show=False),
    ]

    rows: reactive[tuple[Row, ...]] = reactive((), layout=False)
    marked: reactive[frozenset[str]] = reactive(frozenset())

    @dataclass
    class Chosen(Message):
        """Another row is chosen."""

        table: Table
        key: str

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    @dataclass
    class Opened(Message):
        """A row was opened, with Enter or a click on the chosen one."""

        table: Table
        key: str

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    @dataclass
    class MoreWanted(Message):
        """The choice comes near the end of what is loaded."""

        table: Table

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    def __init__(
        self,
        *columns: Column,
        empty: Content | str = "",
        head: bool = True,
        fitted: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = columns
        self.empty = Content(empty) if isinstance(empty, str) else empty
        self.head = 1 if head else 0
        self.fitted = fitted
        self.key = ""
        self._index = 0
        self._filled: tuple[int, ...] = ()
        """How wide the widest cell of each column is."""

    @property
    def chosen(self) -> Row | None:
        """The chosen row."""
        return self.rows[self._index] if self.rows and not self.rows[self._index].heading else None

    def choose(self, key: str) -> None:
        """Choose the row with this key, if it is there."""
        for index, row in enumerate(self.rows):
            if row.key == key:
                self._go(index)

    def set_empty(self, words: Content) -> None:
        """What stands where there are no rows."""
        self.empty = words
        self.refresh()

    def watch_rows(self, before: tuple[Row, ...], now: tuple[Row, ...]) -> None:
        """Keep the choice on its key, and the key on its line."""
        line = self._index - self.scroll_offset.y
        if any(column.snug for column in self.columns):
            self._filled = _filled(now)
        places = {row.key: index for index, row in enumerate(now)}
        followed = self.key in places
        self._index = places.get(self.key, min(self._index, max(0, len(now) - 1)))
        self._index = self._selectable(self._index, 1)
        self._resize()
        if followed and self.scroll_offset.y > 0:
            self.scroll_to(y=max(0, self._index - line), animate=False, force=True)
        if not followed:
            self._tell()
        self.refresh()

    def watch_marked(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self._resize()

    def action_move(self, by: int) -> None:
        """Choose the next row above or below."""
        self._go(self._selectable(self._index + by, by))

    def action_page(self, by: int) -> None:
        """Go a screen up or down."""
        self._go(self._selectable(self._index + by * max(1, self.size.height - 2), by))

    def action_first(self) -> None:
        """Go to the first row."""
        self._go(self._selectable(0, 1))

    def action_last(self) -> None:
        """Go to the last loaded row."""
        self._go(self._selectable(len(self.rows) - 1, -1))

    def on_click(self, event: events.Click) -> None:
        index = self.scroll_offset.y + event.y - self.head
        if event.y < self.head or index >= len(self.rows) or self.rows[index].heading:
            return
        if index == self._index:
            self.post_message(self.Opened(self, self.rows[index].key))
        self._go(index)

    def render_line(self, y: int) -> Strip:
        """The heading line stands still, the rows scroll under it."""
        width = self.scrollable_content_region.width
        if y < self.head:
            return self._draw(self._head_line(width), "table--head", width)
        index = self.scroll_offset.y + y - self.head
        if index < len(self.rows):
            return self._row(index, width)
        if not self.rows and y == self.head + (0 if self.fitted else 1) and self.empty:
            return self._draw(Content.assemble("  ", self.empty), "table--row", width)
        return self._draw(Content(""), "table--row", width)

    def _row(self, index: int, width: int) -> Strip:
        row = self.rows[index]
        if row.heading:
            return self._draw(fit(row.cells[0], width), "table--heading", width)
        chosen = index == self._index
        marked = row.key in self.marked
        gutter = Content.styled("▌" if chosen else " ", ACCENT_STYLE if self.has_focus else QUIET_STYLE)
        mark = Content.styled("✓" if marked else " ", ACCENT_STYLE)
        line = Content.assemble(gutter, mark, self._cells(row.cells, width))
        style = "table--marked" if marked else "table--row"
        if chosen:
            style = "table--chosen" if self.has_focus else "table--chosen-far"
        return self._draw(line, style, width)

    def _head_line(self, width: int) -> Content:
        names = tuple(Content(column.name) for column in self.columns)
        return Content.assemble(" " * GUTTER, self._cells(names, width))

    def _cells(self, cells: tuple[Content, ...], width: int) -> Content:
        rooms = widths(self.columns, width - GUTTER - 1, self._filled)
        return Content(" " * GAP).join(
            fit(cell, room, right=column.right)
            for column, cell, room in zip(self.columns, cells, rooms, strict=True)
            if room
        )

    def _draw(self, line: Content, component: str, width: int) -> Strip:
        style = self.get_visual_style(component)
        strips = Visual.to_strips(self, fit(line, width), width, 1, style, pad=True, apply_selection=False)
        return strips[0] if strips else Strip.blank(width)

    def _go(self, index: int) -> None:
        if not self.rows:
            return
        before, self._index = self._index, min(max(0, index), len(self.rows) - 1)
        self._tell()
        above = 1 if self._index and self.rows[self._index - 1].heading else 0
        region = Region(0, self._index - above, 1, 1 + self.head + above)
        self.scroll_to_region(region, animate=False, force=True)
        for line in (before, self._index):
            self.refresh_line(line + self.head)
        if self._index >= len(self.rows) - NEAR_END:
            self.post_message(self.MoreWanted(self))

    def _tell(self) -> None:
        key = self.rows[self._index].key if self.rows else ""
        if key != self.key:
            self.key = key
            self.post_message(self.Chosen(self, key))

    def _selectable(self, index: int, step: int) -> int:
        """The nearest row that can be chosen, looked for in one direction, then in the other."""
        last = len(self.rows) - 1
        index = min(max(0, index), max(0, last))
        for direction in (1 if step > 0 else -1, -1 if step > 0 else 1):
            place = index
            while 0 <= place <= last:
                if not self.rows[place].heading:
                    return place
                place += direction
        return index

    def _resize(self) -> None:
        if self.fitted:
            self.styles.height = max(1, len(self.rows)) + self.head
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.rows) + self.head)
