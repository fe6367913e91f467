"""A curve over time, as high as there is room, drawn with eighths of a row."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive

from console.figures import short
from console.marks import BLUE_STYLE, QUIET_STYLE
from console.widgets.panel import Drawn
from fixionmail.ops.history import Curve

_LEVELS = " ▁▂▃▄▅▆▇█"
AXIS = 6
MOST_ROWS = 12
SHADE = "$chosen"


class Chart(Drawn):
    """``curve``: the values, None where there are none. As high as the room that it gets."""

    curve: reactive[Curve] = reactive(())

    def lines(self, width: int) -> list[Content]:
        """The curve with its highest value, or why there is none."""
        rows = min(MOST_ROWS, max(2, self.size.height))
        if all(value is None for value in self.curve):
            return [Content.styled("Nothing was kept yet: a curve grows while a console looks.", QUIET_STYLE)]
        columns = fewer(self.curve, max(4, width - AXIS))
        highest = max(value or 0.0 for value in columns) or 1.0
        return [_row(row, rows, columns, highest) for row in range(rows)]


def _row(row: int, rows: int, columns: Curve, highest: float) -> Content:
    """One row of cells: filled ones in shade, the curve's edge in colour."""
    floor = (rows - 1 - row) * 8
    label = short(highest) if row == 0 else "0" if row == rows - 1 else ""
    parts: list[tuple[str, str]] = [(f"{label:>{AXIS - 1}} ", QUIET_STYLE)]
    for value in columns:
        height = round((value or 0.0) / highest * rows * 8) - floor
        mark = _LEVELS[min(8, max(0, height))]
        style = "" if mark == " " else SHADE if height > 8 else BLUE_STYLE
        if len(parts) > 1 and parts[-1][1] == style:
            parts[-1] = (parts[-1][0] + mark, style)
        else:
            parts.append((mark, style))
    return Content.assemble(*parts)


def fewer(curve: Curve, columns: int) -> Curve:
    """The curve in so many columns: the mean of the values that fall into each, or the nearest where there are few."""
    return tuple(
        _mean(curve[column * len(curve) // columns : max(1, -(-(column + 1) * len(curve) // columns))])
        for column in range(columns)
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
