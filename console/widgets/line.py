"""A line to type in, into which nothing can be pasted that a person could not see."""

from __future__ import annotations

from textual.widgets import Input

from console.text import typed


class Line(Input):
    """Textual's line; what is typed and what is pasted, from the terminal or from here, goes through the same gate."""

    def replace(self, text: str, start: int, end: int) -> None:
        """All that comes in comes in by this."""
        super().replace(typed(text), start, end)
