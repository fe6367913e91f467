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


class Chart(Drawn):
    """``samples``: Unix time and value, oldest first. The widget is ``rows`` high."""

    samples: reactive[tuple[tuple[float, float], ...]] = reactive(())

    def __init__(self, rows: int = 6, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.rows = rows

    def lines(self, width: int) -> list[Content]:
        """The curve with its highest value, or why there is none."""
        if len(self.samples) < 2:
            said = Content.styled("A curve appears here after a minute or so of looking.", QUIET_STYLE)
            return [said, *[Content("")] * (self.rows - 1)]
        columns = resampled(self.samples, max(4, width - AXIS))
        highest = max(columns) or 1.0
        return [self._row(row, columns, highest) for row in range(self.rows)]

    def _row(self, row: int, columns: Sequence[float], highest: float) -> Content:
        floor = (self.rows - 1 - row) * 8
        marks = "".join(_LEVELS[min(8, max(0, round(v / highest * self.rows * 8) - floor))] for v in columns)
        label = short(highest) if row == 0 else "0" if row == self.rows - 1 else ""
        return Content.assemble((f"{label:>{AXIS - 1}} ", QUIET_STYLE), (marks, BLUE_STYLE))


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
