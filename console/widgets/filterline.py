"""The line that filters what is listed, with completion of its last word."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Input, Static

from console.marks import ACCENT_STYLE
from console.messages import FilterChanged
from console.widgets.line import Line


class LastWord(Suggester):
    """Completes the last word from what the view knows."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.words: tuple[str, ...] = ()

    async def get_suggestion(self, value: str) -> str | None:
        """The first known word that begins like the last one typed."""
        before, space, last = value.rpartition(" ")
        if not last:
            return None
        found = next((word for word in self.words if word.startswith(last) and word != last), None)
        return f"{before}{space}{found}" if found else None


class FilterLine(Horizontal):
    """Hidden until opened; tells of every change, and when it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self._hints = LastWord()

    def compose(self) -> ComposeResult:
        """The mark and the line."""
        yield Static(Content.styled("/", f"bold {ACCENT_STYLE}"), id="filter-mark")
        words = "filter; → completes, Enter applies"
        yield Line(suggester=self._hints, compact=True, id="filter-input", placeholder=words)

    @property
    def is_open(self) -> bool:
        """Somebody types in it."""
        return self.has_class("-open")

    def open(self, text: str, hints: tuple[str, ...]) -> None:
        """Show it with the filter in force."""
        self._hints.words = hints
        self.add_class("-open")
        line = self.query_one(Input)
        line.value = text
        line.cursor_position = len(text)
        line.focus()

    def close(self) -> None:
        """Hide it."""
        self.remove_class("-open")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.is_open:
            self.post_message(FilterChanged(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(FilterChanged(event.value.strip(), done=True))
