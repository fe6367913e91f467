"""A log: the last lines, filtered as one types, following the end or standing still."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from console.marks import ACCENT_STYLE, BAD_STYLE, QUIET_STYLE, WARN_STYLE
from console.text import fit, safe

KEPT_LINES = 5000
_LOUD = (("error", BAD_STYLE), ("critical", BAD_STYLE), ("traceback", BAD_STYLE), ("warning", WARN_STYLE))


class LogView(ScrollView, can_focus=True):
    """Draws only the lines that are seen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "go(-1)", show=False),
        Binding("down,j", "go(1)", show=False),
        Binding("pageup", "go(-20)", show=False),
        Binding("pagedown", "go(20)", show=False),
        Binding("home", "go(-1000000)", show=False),
        Binding("end", "go(1000000)", show=False),
    ]
    pattern: reactive[str] = reactive("")
    following: reactive[bool] = reactive(True)

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._seen: list[str] = []

    def add(self, lines: Iterable[str]) -> None:
        """Append lines as they stand in the log."""
        fresh = [safe(line) for line in lines]
        if not fresh:
            return
        self._lines.extend(fresh)
        self._sift()

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()
        self._sift()

    def watch_pattern(self) -> None:
        self._sift()

    def watch_following(self) -> None:
        self._sift()

    def on_resize(self) -> None:
        self._sift()

    def action_go(self, by: int) -> None:
        """Scroll; going up stops following."""
        if by < 0:
            self.following = False
        self.scroll_to(y=self.scroll_offset.y + by, animate=False, force=True)

    def _sift(self) -> None:
        wanted = self.pattern.lower()
        self._seen = [line for line in self._lines if wanted in line.lower()] if wanted else list(self._lines)
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._seen))
        if self.following:
            self.scroll_to(y=len(self._seen), animate=False, force=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line, its level in colour and the filter's hits underlined."""
        width = self.scrollable_content_region.width
        index = self.scroll_offset.y + y
        line = Content("")
        if index < len(self._seen):
            line = self._coloured(self._seen[index])
        elif y == 0 and not self._seen:
            words = f"No line holds {safe(self.pattern)}." if self.pattern else "The log is empty."
            line = Content.styled(words, QUIET_STYLE)
        strips = Visual.to_strips(self, fit(line, width), width, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(width)

    def _coloured(self, text: str) -> Content:
        lower = text.lower()
        style = next((style for word, style in _LOUD if word in lower), "")
        line = Content.styled(text, style) if style else Content(text)
        if self.pattern and (at := lower.find(self.pattern.lower())) >= 0:
            line = line.stylize(f"bold underline {ACCENT_STYLE}", at, at + len(self.pattern))
        return line
