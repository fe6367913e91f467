"""What the screens that show one thing in full have in common: the head, the keys, and how one leaves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from console.commands import BY_ID, CURE_KEYS, bindings, key_of
from console.figures import moment as moment_words
from console.figures import span
from console.marks import FAINT_STYLE, QUIET_STYLE
from console.screens.base import console_of, keys_of
from console.screens.help import HelpScreen
from console.text import plain, safe
from console.widgets.keybar import KeyBar
from console.widgets.masthead import Masthead
from fixionmail.ops.views.findings import Cure
from fixionmail.ops.views.jobs import TimelineEvent


def pairs(facts: Sequence[tuple[str, Content]]) -> Content:
    """Names and values, a line each."""
    return Content("\n").join(
        Content.assemble((f"{safe(name)[:15]:<16}", QUIET_STYLE), value) for name, value in facts
    )


def timeline(events: Sequence[TimelineEvent], now: datetime) -> Content:
    """What happened, with the time between."""
    lines, before = [], None
    for event in events:
        gap = ""
        if before is not None and event.at is not None:
            gap = f"+{span((event.at - before).total_seconds())}"
        lines.append(
            Content.assemble(
                (f"{moment_words(event.at, now):<13}", QUIET_STYLE),
                (f"{gap:>8}  ", FAINT_STYLE if not gap else QUIET_STYLE),
                plain(event.what),
            )
        )
        before = event.at or before
    return Content("\n").join(lines) if lines else Content.styled("nothing is known", QUIET_STYLE)


class DetailScreen(Screen[None]):
    """A screen of its own; Esc goes back.

    Args:
        subject: the id of what it shows.
    """

    BINDINGS: ClassVar[list[Any]] = bindings()
    place = ""
    command = ""
    """The command that shows the same, without the id."""

    def __init__(self, subject: str) -> None:
        super().__init__()
        self.subject = subject
        self._shown = False

    def on_mount(self) -> None:
        """Ask for it."""
        main, masthead = console_of(self).main, self.query_one(Masthead)
        masthead.target, masthead.mode = main.target, main.mode
        self.set_interval(1.0, self._show_pulse)
        self._show_pulse()
        self.query_one(KeyBar).place = self.place
        self.query_one(KeyBar).read_only = console_of(self).read_only
        self.ask()

    def _show_pulse(self) -> None:
        main, masthead = console_of(self).main, self.query_one(Masthead)
        masthead.pulse, masthead.moment = main.pulse, main.moment

    def ask(self) -> None:
        """Look at it."""
        raise NotImplementedError

    def targets(self, action: str) -> tuple[str, ...]:
        """What an action is meant for."""
        return (self.subject,)

    def cures(self) -> Sequence[Cure]:
        """What the keys of cures start."""
        return ()

    @property
    def now(self) -> datetime:
        """When the deployment was last seen."""
        return console_of(self).main.moment or datetime.now().astimezone()

    def cure_keys(self) -> list[str]:
        """The keys of cures, as the operator has set them."""
        return [key_of(BY_ID[f"cure-{n}"], keys_of(self)) for n in range(1, len(CURE_KEYS) + 1)]

    def fill(self, selector: str, content: Content, heading: str = "") -> None:
        """Show a text; where there is none, neither it nor its heading."""
        if self.is_mounted:
            self._shown = True
            widget = self.query_one(selector, Static)
            widget.update(content)
            widget.display = bool(content.plain)
            if heading:
                self.query_one(heading).display = bool(content.plain)

    def on_screen_resume(self) -> None:
        """Something may have been changed meanwhile."""
        if self._shown:
            self.ask()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The commands of its place."""
        return action != "command" or BY_ID[str(parameters[0])].works_in(self.place)

    def action_command(self, command_id: str) -> None:
        """Do what a command says."""
        app, command = console_of(self), BY_ID[command_id]
        if command_id.startswith("view-"):
            self.dismiss()
            app.main.go(command_id.removeprefix("view-"))
        elif command_id.startswith("cure-"):
            self._cure(int(command_id.removeprefix("cure-")))
        elif command.action:
            app.change(command.action, self.targets(command.action), command.title)
        elif command_id in ("back", "quit"):
            self.dismiss()
        elif command_id == "refresh":
            self.ask()
        elif command_id == "help":
            app.push_screen(HelpScreen(self.place))
        elif command_id == "palette":
            app.action_command_palette()
        elif command_id in ("copy-id", "copy-command"):
            text = self.subject if command_id == "copy-id" else f"{self.command} {self.subject}"
            app.copy_to_clipboard(text)
            app.notify_text(f"Copied: {text}")

    def _cure(self, number: int) -> None:
        cures = [cure for cure in self.cures() if cure.action]
        if number <= len(cures):
            cure = cures[number - 1]
            console_of(self).cure(cure, self.subject)
