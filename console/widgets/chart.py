"""A curve over time, as high as there is room, drawn with eighths of a row."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive

from console.figures import short
from console.marks import BLUE_STYLE, QUIET_STYLE
from console.widgets.panel import Drawn

_LEVELS = " ▁▂▃▄▅▆▇█"
AXIS = 6
MOST_ROWS = 12
SHADE = "$chosen"


class Chart(Drawn):
    """``samples``: Unix time and value, oldest first. As high as the room that it gets."""

    samples: reactive[tuple[tuple[float, float], ...]] = reactive(())

    def lines(self, width: int) -> list[Content]:
        """The curve with its highest value, or why there is none."""
        rows = min(MOST_ROWS, max(2, self.size.height))
        if len(self.samples) < 2:
            return [Content.styled("A curve appears here after a minute or so of looking.", QUIET_STYLE)]
        columns = resampled(self.samples, max(4, width - AXIS))
        highest = max(columns) or 1.0
        return [_row(row, rows, columns, highest) for row in range(rows)]


def _row(row: int, rows: int, columns: Sequence[float], highest: float) -> Content:
    """One row of cells: filled ones in shade, the curve's edge in colour."""
    floor = (rows - 1 - row) * 8
    label = short(highest) if row == 0 else "0" if row == rows - 1 else ""
    parts: list[tuple[str, str]] = [(f"{label:>{AXIS - 1}} ", QUIET_STYLE)]
    for value in columns:
        height = round(value / highest * rows * 8) - floor
        mark = _LEVELS[min(8, max(0, height))]
        style = "" if mark == " " else SHADE if height > 8 else BLUE_STYLE
        if len(parts) > 1 and parts[-1][1] == style:
            parts[-1] = (parts[-1][0] + mark, style)
        else:
            parts.append((mark, style))
    return Content.assemble(*parts)


def resampled(samples: Sequence[tuple[float, float]], columns: int) -> list[float]:
    """The mean of each of ``columns`` equal spans of time; a span without samples repeats the one before it."""
    first, last = samples[0][0], samples[-1][0]
    length = (last - first) / columns or 1.0
    sums, counts = [0.0] * columns, [0] * columns
    for at, value in samples:
        place = min(columns - 1, int((at - first) / length))
        sums[place] += value
        counts[place] += 1
    means: list[float] = []
    for total, count in zip(sums, counts, strict=True):
        means.append(total / count if count else (means[-1] if means else 0.0))
    return means
