"""What all views have in common: they are shown and left, and answer for what is chosen in them."""

from __future__ import annotations

from textual.containers import Vertical
from textual.widgets import Input

from console.commands import Command
from console.widgets.table import Table
from fixionmail.ops.views.findings import Finding


class View(Vertical):
    """One of the eight views. The screen asks it; it asks the screen with messages."""

    main_table = ""
    """The selector of the table that has the focus first."""
    commands_a_look = 0
    """Redis commands that it sends with every look."""

    def shown(self) -> None:
        """The view comes to the front: ask for what it needs."""

    def changed(self) -> None:
        """Something was changed from here: show what became of it."""
        self.shown()

    def left(self) -> None:
        """The view goes to the back."""

    def looked(self) -> None:
        """A new snapshot has come while the view is at the front."""

    def focus_first(self) -> None:
        """Give the keys to the table that matters most."""
        if self.main_table:
            self.query_one(self.main_table, Table).focus()

    def do(self, command_id: str) -> bool:
        """Do something that only looks; says whether the view knows it."""
        return False

    def action_of(self, command: Command) -> str:
        """The operation that a command stands for here."""
        return command.action

    def targets(self, action: str) -> tuple[str, ...]:
        """What an action is meant for: the marked rows, or else the chosen one."""
        return ()

    def chosen_finding(self) -> Finding | None:
        """The trouble that is chosen here, where troubles are listed."""
        return None

    def chosen_state(self) -> str:
        """The state of what is chosen, where some keys are for one state alone."""
        return ""

    def copied(self) -> str:
        """The id of what is chosen."""
        return ""

    def command_line(self) -> str:
        """The command that shows the same."""
        return "fixionmail status"

    def note(self) -> str:
        """What the filter line says while it is closed."""
        return ""

    def filter_hints(self) -> tuple[str, ...]:
        """Words that the filter line completes."""
        return ()

    def filter_text(self) -> str:
        """The filter in force."""
        return ""

    def set_filter(self, text: str) -> None:
        """Filter what is listed."""

    def back(self) -> bool:
        """Undo the last narrowing; says whether there was one."""
        return False


def typing_in(widget: object) -> bool:
    """Keys belong to a line that somebody types in."""
    return isinstance(widget, Input)
