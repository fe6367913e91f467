"""The console: looks at a deployment through a deck, shows it, and does what the operator confirms."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding
from textual.screen import Screen
from textual.timer import Timer

from console.asking import AskingApp
from console.feed import Deck
from console.pace import Pace
from console.palette import OpsCommands
from console.screens.change import ChangeScreen
from console.screens.main import MainScreen
from console.settings import ConsoleSettings
from console.text import plain
from console.theme import FALLBACKS, SIXTEEN, THEMES
from console.widgets.masthead import Pulse
from console.widgets.notice import HIDDEN_IN
from fixionmail.ops.views.findings import Cure, Finding
from fixionmail.ops.views.snapshot import Snapshot

HEARTBEAT_SECONDS = 1.0
LATE_SECONDS = 2.0
"""Data that is older than the pace by so much is said to be old."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_ENDING_SECONDS = 5.0
"""How long ending in order may take."""


class ConsoleApp(AskingApp):
    """The app.

    Args:
        deck: what to look at and act on.
        settings: theme and keys.
        read_only: refuse every change.
        live: go on looking; a picture and most tests look once.
    """

    TITLE = "FixionMail"
    CSS_PATH = "console.tcss"
    COMMANDS = {OpsCommands}  # noqa: RUF012 - Textual's name
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[Any]] = [Binding("ctrl+z", "suspend_process", show=False, priority=True)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - Textual's name
    VERTICAL_BREAKPOINTS = [(0, "-low"), (36, "-high")]  # noqa: RUF012

    def __init__(
        self,
        deck: Deck,
        settings: ConsoleSettings | None = None,
        *,
        read_only: bool = False,
        live: bool = True,
    ) -> None:
        colourless = bool(os.environ.get("NO_COLOR"))  # then nothing is coloured, not even grey
        super().__init__(ansi_color=True if colourless else None)
        self.deck = deck
        self.settings = settings or ConsoleSettings()
        self.read_only = read_only or deck.target.read_only
        self.live = live
        self.pace = Pace(used_at=time.monotonic())
        self.findings: tuple[Finding, ...] = ()
        self._snapshot: Snapshot | None = None
        self._told: set[str] | None = None
        self._timer: Timer | None = None
        self._looking = False
        self._good_at: float | None = None
        """When everything was last seen, in monotonic seconds."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = SIXTEEN.name if colourless else self.settings.theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our names of colours."""
        return FALLBACKS

    def get_default_screen(self) -> Screen[None]:
        """The views."""
        return MainScreen(self.settings.keys)

    def on_mount(self) -> None:
        """Paint first, look after that."""
        self.set_keymap(dict(self.settings.keys))
        self._end_on_signals()
        self.call_after_refresh(self._painted)
        if self.live:
            self.set_interval(HEARTBEAT_SECONDS, self._show_pulse)

    @property
    def main(self) -> MainScreen:
        """The screen with the views."""
        screen = self.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    def _painted(self) -> None:
        """What is there by now stays until the end: a full collection leaves it out, and holds up no key."""
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        self.look_now()

    def look_now(self) -> None:
        """Look at once, unless a look is under way."""
        if self._looking:
            return
        self._looking = True
        if self._timer is not None:
            self._timer.stop()
        previous = self._snapshot
        self.ask("look", lambda: self._look(previous), self._looked, self._look_failed)

    def _look(self, previous: Snapshot | None) -> tuple[Snapshot, tuple[Finding, ...], float]:
        started = time.monotonic()
        snapshot = self.deck.look()
        findings = self.deck.findings(snapshot, previous)
        return snapshot, findings, time.monotonic() - started

    def _looked(self, seen: tuple[Snapshot, tuple[Finding, ...], float]) -> None:
        self._snapshot, self.findings, self.pace.took = seen
        self._looking = False
        if self._good_at is None or not self._snapshot.unseen:
            self._good_at = time.monotonic()
        self._tell_new(self.findings)
        self.main.show(self._snapshot, self.findings)
        self._schedule()

    def _look_failed(self, words: str) -> None:
        self._looking = False
        self.notify_text(words, "error")
        self.pace.took = max(self.pace.took, 10.0)
        self._schedule()

    def _schedule(self) -> None:
        self._show_pulse()
        wait = self.pace.wait(time.monotonic())
        if self.live and wait is not None:
            self._timer = self.set_timer(wait, self.look_now)

    def _show_pulse(self) -> None:
        now = time.monotonic()
        wait = self.pace.wait(now)
        state = "paused" if self.pace.paused else "asleep" if wait is None else "live"
        cost = self._snapshot.cost.redis_commands + self.main.view.commands_a_look if self._snapshot else 0
        self.main.pulse = Pulse(
            state=state if self._snapshot else "waiting",
            every_seconds=wait or 0.0,
            commands_per_month=self.pace.commands_per_month(cost),
            old_seconds=self._old(now, wait),
        )

    def _old(self, now: float, wait: float | None) -> float | None:
        """How old what is shown is, where that is more than the pace accounts for."""
        if self._good_at is None:
            return None
        old = now - self._good_at
        return old if wait is None or old > wait + LATE_SECONDS else None

    def _tell_new(self, findings: tuple[Finding, ...]) -> None:
        """A toast for each trouble that was not there at the look before; none for what was there at the start, and
        none where all trouble is listed anyway: a toast would cover the dialog in which it is cured."""
        keys = {finding.key for finding in findings}
        if self._told is not None and self.main.place not in HIDDEN_IN:
            for finding in findings:
                if finding.key not in self._told:
                    self.notify_text(finding.title, "error" if finding.harm >= 4 else "warning")
        self._told = (self._told or set()) | keys

    async def on_event(self, event: events.Event) -> None:
        """Every key counts as use, and wakes a console that sleeps."""
        if isinstance(event, events.Key | events.MouseDown | events.Paste):
            self._use()
        elif isinstance(event, events.AppBlur):
            self.pace.focused = False
        elif isinstance(event, events.AppFocus):
            self.pace.focused = True
            self._use()
        await super().on_event(event)

    def _use(self) -> None:
        now = time.monotonic()
        slow = self.pace.wait(now)
        self.pace.use(now)
        soon = self.pace.wait(now)
        if self.live and soon is not None and (slow is None or slow > soon):
            self.look_now()

    def pause(self) -> None:
        """Stop looking, or look again."""
        self.pace.paused = not self.pace.paused
        if self.pace.paused:
            if self._timer is not None:
                self._timer.stop()
            self._show_pulse()
        else:
            self.look_now()

    def change(self, action: str, targets: tuple[str, ...], words: str = "") -> None:
        """Show what an action would touch, and do it when the operator says so; ``words`` are the title."""
        if self.read_only:
            self.notify_text("This console only looks (--read-only): nothing was changed.", "warning")
        elif not targets:
            self.notify_text("Nothing is chosen for that.", "warning")
        else:
            self.push_screen(ChangeScreen(action, targets, words), self._changed)

    def cure(self, cure: Cure, otherwise: str = "all") -> None:
        """Offer a cure; ``otherwise`` is meant where it names no target."""
        self.change(cure.action, cure.targets or (otherwise,), cure.label)

    def _changed(self, begun: bool | None) -> None:
        """Show at once what became of it."""
        if begun:
            self.look_now()
            self.main.view.changed()

    def notify_text(self, words: str, severity: str = "information") -> None:
        """A toast that shows the words as they are."""
        self.notify(plain(words).plain, severity=severity, markup=False, timeout=6)  # type: ignore[arg-type]

    def _end_on_signals(self) -> None:
        """End in order, so that the terminal is as it was, when told to or when the terminal closes.

        A terminal that takes nothing any more holds up whoever writes to it, this thread included: then it ends anyway.
        """
        loop = asyncio.get_running_loop()

        def end(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.exit)
            at_last = threading.Timer(_ENDING_SECONDS, os._exit, (128 + number,))
            at_last.daemon = True
            at_last.start()

        for number in _ENDING:
            with suppress(ValueError):  # not in the main thread: a browser's or a test's
                signal.signal(number, end)

    def run(self, **options: Any) -> None:
        """Run until it is left; connections are let go of when the terminal is as it was.

        Garbage is collected from the first paint on: what is made until then stays.
        """
        gc.disable()
        try:
            super().run(**options)
        finally:
            with suppress(Exception):
                self.deck.close()
