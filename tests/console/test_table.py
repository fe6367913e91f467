"""The table: what fits into how much room, and what the choice does when rows come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from console.views.stuck import finding_rows
from console.widgets.chart import fewer
from console.widgets.table import GAP, Column, Row, Table, widths
from tests.console.stage import Stage, canned, play

COLUMNS = (
    Column(name="a", width=8),
    Column(name="b", width=6, grow=20, rank=2),
    Column(name="c", least=12),
    Column(name="d", width=9, rank=1),
)


@given(st.integers(22, 400))
def test_columns_fill_the_room_and_never_more(room: int) -> None:
    given_widths = [width for width in widths(COLUMNS, room) if width]
    used = sum(given_widths) + GAP * (len(given_widths) - 1)
    assert used == room


def test_the_column_of_highest_rank_goes_first() -> None:
    assert [bool(width) for width in widths(COLUMNS, 38)] == [True, False, True, True]
    assert [bool(width) for width in widths(COLUMNS, 24)] == [True, False, True, False]


def test_columns_without_a_name_do_not_share_a_width() -> None:
    assert widths((Column(name="", width=3), Column(name="", least=4), Column(name="", width=5)), 30) == [
        3,
        18,
        5,
    ]


def test_a_snug_column_takes_what_stands_in_it_and_leaves_the_rest_to_others() -> None:
    columns = (Column(name="what", least=10, snug=True), Column(name="cure", least=10))
    assert widths(columns, 62, (30, 99)) == [30, 30]
    assert widths(columns, 62, (80, 5)) == [50, 10]
    assert widths(columns, 62, (4, 99)) == [10, 50]


def _rows(*keys: str) -> tuple[Row, ...]:
    return tuple(Row(key=key, cells=tuple(Content(key) for _ in range(3))) for key in keys)


def test_when_the_chosen_row_goes_its_neighbour_is_chosen() -> None:
    async def scene(stage: Stage) -> None:
        table = Table(*(Column(name=name, width=4) for name in "abc"))
        await stage.app.main.mount(table)
        table.rows = _rows("1", "2", "3")
        table.choose("2")
        table.rows = _rows("1", "3")
        assert table.key == "3"
        table.rows = ()
        assert table.key == ""
        assert table.chosen is None

    play(scene)


def test_headings_are_stepped_over() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        rows = finding_rows(stage.app.findings, None)
        headings = {row.key for row in rows if row.heading}
        await stage.press("6")
        seen = []
        for _ in range(8):
            seen.append(stage.table("#stuck").key)
            await stage.press("down")
        assert not headings & set(seen)
        assert len(set(seen)) == 5

    play(scene, deck)


def test_a_hundred_thousand_rows_cost_no_more_to_draw_than_those_that_are_seen() -> None:
    async def scene(stage: Stage) -> None:
        table = Table(*(Column(name=name, width=4) for name in "abc"))
        await stage.app.main.mount(table)
        table.rows = _rows(*map(str, range(100_000)))
        drawn = 0
        original = table._cells

        def counting(cells: tuple[Content, ...], width: int) -> Content:
            nonlocal drawn
            drawn += 1
            return original(cells, width)

        table._cells = counting  # type: ignore[method-assign]
        table.action_last()
        await stage.pilot.pause()
        assert table.key == "99999"
        assert drawn < 1000

    play(scene)


@given(st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=500), st.integers(1, 300))
def test_a_curve_has_a_value_for_every_column_within_its_values(
    values: list[float | None], columns: int
) -> None:
    drawn = fewer(tuple(values), columns)
    assert len(drawn) == columns
    known = [value for value in values if value is not None]
    assert all(value is None or min(known) * 0.999 <= value <= max(known) * 1.001 for value in drawn)
    assert any(value is not None for value in drawn) == bool(known)
