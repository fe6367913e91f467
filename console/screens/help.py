"""The help of a view, made from the one table of commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from console.commands import Command, commands_in, key_of
from console.marks import (
    ACCENT_STYLE,
    BAD,
    BAD_STYLE,
    BUSY,
    GOOD,
    HELD,
    IDLE,
    OK_STYLE,
    QUIET_STYLE,
    WARN,
    WARN_STYLE,
)
from console.screens.base import keys_of
from console.widgets.panel import Drawn

ABOUT = {
    "overview": "Whether today's stories go out. Trouble first, each with the key that cures it.",
    "jobs": "All jobs, newest first. Filter: state:failed queue:emails age>10m err:timeout id:… and free words.",
    "failures": "Failures with the same cause, together. Enter lists the jobs of one.",
    "workers": "Workers, trouble first. A quiet worker is silent for longer than its state allows; a dead one is gone.",
    "deliveries": "What became of each mail. Uncertain ones wait for a decision; duplicates must stay empty.",
    "stuck": "Everything that the checks find, by harm. Enter shows the evidence and all cures.",
    "processes": "What runs on this machine. It goes on when the console ends.",
    "health": "Every check of the doctor, and what the servers say of themselves.",
    "delivery": "One delivery: what it is, what happened to it, and what can be done. Suppress means its subscriber.",
    "job": "One job: what happened to it, why it is not running, and what can be done.",
    "finding": "One trouble: its cause, its evidence, and every cure.",
}


class HelpText(Drawn):
    """All commands of a place, those that look first; what a key does stays beside it on every screen."""

    def __init__(self, place: str, keys: Mapping[str, str]) -> None:
        super().__init__()
        self.parts = help_parts(place, keys)

    def lines(self, width: int) -> list[Content]:
        """Its text, folded."""
        return [line for key, words in self.parts for line in _folded(key, words, width)]


def _folded(key: Content, words: Content, width: int) -> list[Content]:
    folded = words.wrap(max(1, width - key.cell_length)) if words else [words]
    return [
        Content.assemble(key if first == 0 else " " * key.cell_length, line)
        for first, line in enumerate(folded)
    ]


def help_parts(place: str, keys: Mapping[str, str]) -> list[tuple[Content, Content]]:
    """Keys, each with what it does; headings and notes are without a key."""
    commands = [c for c in commands_in(place) if not c.id.startswith("view-")]
    looks = [c for c in commands if not c.action]
    changes = [c for c in commands if c.action]
    return [
        _note(ABOUT.get(place, "")),
        _note(""),
        _note(Content.styled("Look", "bold")),
        *(_line(command, keys) for command in looks),
        _key("1 … 8", "Go to a view."),
        _key("tab", "Go to the next part of the view."),
        _note(""),
        _note(Content.assemble(("Change", "bold"), ("  always with a preview first", QUIET_STYLE))),
        *(_line(command, keys) for command in changes),
        _note(""),
        _note(Content.styled("Marks", "bold")),
        (Content("  "), _legend()),
    ]


def _note(words: str | Content) -> tuple[Content, Content]:
    return Content(""), Content(words) if isinstance(words, str) else words


def _key(key: str, about: str, style: str = ACCENT_STYLE) -> tuple[Content, Content]:
    return Content.styled(f"{key:>8}  ", f"bold {style}"), Content(about)


def _line(command: Command, keys: Mapping[str, str]) -> tuple[Content, Content]:
    return _key(key_of(command, keys), command.about, BAD_STYLE if command.action else ACCENT_STYLE)


def _legend() -> Content:
    marks = (
        (GOOD, OK_STYLE, "well"),
        (WARN, WARN_STYLE, "look at it"),
        (BAD, BAD_STYLE, "bad"),
        (BUSY, ACCENT_STYLE, "under way"),
        (IDLE, QUIET_STYLE, "waits"),
        (HELD, QUIET_STYLE, "held"),
    )
    shown = [Content.assemble((mark, style), f" {words}") for mark, style, words in marks]
    return Content("   ").join(shown)


class HelpScreen(ModalScreen[None]):
    """Closes on any of the keys that close things."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "close", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
    ]

    def __init__(self, place: str) -> None:
        super().__init__()
        self.of = place

    def compose(self) -> ComposeResult:
        """One box."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = f"Help · {self.of.capitalize()}"
            box.border_subtitle = "esc closes"
            yield HelpText(self.of, keys_of(self))

    def action_scroll(self, by: int) -> None:
        """Read on."""
        self.query_one(VerticalScroll).scroll_relative(y=by * 3, animate=False)
