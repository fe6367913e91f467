"""The title line of a part of the screen: its name, a rule, and at the right what is to be said of it."""

from __future__ import annotations

from typing import Any

from textual.content import Content
from textual.reactive import reactive

from console.figures import age
from console.marks import BAD, BAD_STYLE, FAINT_STYLE, QUIET_STYLE
from console.sections import Shown
from console.text import fit, safe
from console.widgets.panel import Drawn


class Heading(Drawn):
    """``title`` is ours; ``note`` is content."""

    note: reactive[Content] = reactive(Content(""))

    def __init__(self, title: str, note: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.title = title
        self.set_reactive(Heading.note, Content.styled(note, QUIET_STYLE) if note else Content(""))

    def lines(self, width: int) -> list[Content]:
        """One line."""
        name = Content.styled(self.title, "bold")
        note = self.note.truncate(max(0, width - name.cell_length - 5), ellipsis=True)
        rule = width - name.cell_length - note.cell_length - (2 if note else 1)
        return [
            fit(
                Content.assemble(name, (f" {'─' * max(0, rule)}", FAINT_STYLE), " " if note else "", note),
                width,
            )
        ]

    def tell(self, section: Shown[Any], note: Content | str = "") -> None:
        """Say what is wrong with the section, or else the note."""
        if section.error:
            old = ""
            moment = getattr(self.screen, "moment", None)
            if section.good_at is not None and moment is not None:
                old = f" · shown is {age(section.good_at, moment)} old"
            self.note = Content.styled(f"{BAD} {safe(section.error)}{old}", BAD_STYLE)
        elif section.absent:
            self.note = Content.styled(safe(section.absent), QUIET_STYLE)
        else:
            self.note = Content.styled(note, QUIET_STYLE) if isinstance(note, str) else note
