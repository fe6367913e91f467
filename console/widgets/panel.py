"""Drawn widgets: panels with a title, and lines of content laid out for the width there is."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class Drawn(Widget):
    """A widget that draws itself as lines, for the width it has; its height follows the lines."""

    DEFAULT_CSS = "Drawn { height: auto; width: 1fr; }"
    auto_links = False

    def lines(self, width: int) -> list[Content]:
        """The lines to show in ``width`` cells."""
        raise NotImplementedError

    def render(self) -> Content:
        """All lines."""
        return Content("\n").join(self.lines(max(1, self.content_size.width)))

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """As many rows as there are lines."""
        return max(1, len(self.lines(max(1, width))))

    def redraw(self) -> None:
        """Draw again; the whole screen is laid out anew only where there are more or fewer lines than before."""
        self.clear_cached_dimensions()
        shown = (
            self.content_size
        )  # of no height while it is hidden: it is laid out when it comes to the front
        changed = bool(shown.height) and max(1, len(self.lines(max(1, shown.width)))) != shown.height
        self.refresh(layout=changed)
