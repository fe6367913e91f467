"""The line at the bottom: the keys that do something here, as many as there is room for."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content
from textual.reactive import reactive
from textual.style import Style

from console.commands import Command, commands_in, key_of
from console.marks import ACCENT_STYLE, BAD_STYLE, QUIET_STYLE
from console.widgets.panel import Drawn

DECIDING_RANK = 11
"""Behind the help and the opening of what is chosen."""


class KeyBar(Drawn):
    """Drawn from the table of commands; ``chosen`` is the state of what is chosen."""

    place: reactive[str] = reactive("overview")
    chosen: reactive[str] = reactive("")
    read_only: reactive[bool] = reactive(False)

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__()
        self.keys = keys

    def lines(self, width: int) -> list[Content]:
        """One line."""
        wanted = sorted((c for c in commands_in(self.place) if c.rank), key=self._rank)
        line = Content("")
        for command in wanted:
            if command.action and self.read_only:
                continue
            item = self._item(command)
            if line.cell_length + item.cell_length + 2 > width:
                continue
            line = Content.assemble(line, "  " if line else "", item)
        return [line]

    def _rank(self, command: Command) -> tuple[int, int]:
        return (DECIDING_RANK if self.chosen in command.decides else command.rank, command.rank)

    def _item(self, command: Command) -> Content:
        changes = bool(command.action)
        item = Content.assemble(
            (key_of(command, self.keys), f"bold {BAD_STYLE if changes else ACCENT_STYLE}"),
            (f" {command.label}", QUIET_STYLE),
        )
        return item.stylize(Style.from_meta({"@click": f"screen.command('{command.id}')"}))
