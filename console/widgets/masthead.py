"""The two lines at the top: where one is and how things stand, and the views with what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content
from textual.reactive import reactive
from textual.style import Style

from console.commands import VIEWS
from console.figures import age, clock, short, span
from console.marks import (
    ACCENT_STYLE,
    BAD,
    BAD_STYLE,
    BLUE_STYLE,
    GOOD,
    HELD,
    IDLE,
    OK_STYLE,
    QUIET_STYLE,
    WARN,
    WARN_STYLE,
)
from console.sections import Shown
from console.text import beside, safe
from console.widgets.panel import Drawn
from fixionmail.ops.views.database import ModeView
from fixionmail.ops.views.section import Target

NARROW = 110
_SHORT_NAMES = {
    "overview": "Over",
    "failures": "Fails",
    "workers": "Work",
    "deliveries": "Mail",
    "processes": "Procs",
}


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """How the console looks right now. ``state``: live, paused, asleep or waiting.

    ``commands_per_month``: see :meth:`console.pace.Pace.commands_per_month`. ``old_seconds``: how old what is shown
    is, where it is older than it should be.
    """

    state: str = "waiting"
    every_seconds: float = 2.0
    commands_per_month: int = 0
    old_seconds: float | None = None


class Masthead(Drawn):
    """Environment, mode, addresses; the console's own pace and cost; the time."""

    target: reactive[Target | None] = reactive(None)
    mode: reactive[Shown[ModeView]] = reactive(Shown())
    pulse: reactive[Pulse] = reactive(Pulse())
    moment: reactive[datetime | None] = reactive(None)

    def lines(self, width: int) -> list[Content]:
        """One line."""
        left = Content.assemble(
            ("FixionMail", f"bold {ACCENT_STYLE}"), " ", self._badge(), "  ", self._mode_words()
        )
        if self.target is not None and width >= NARROW:
            places = " · ".join(safe(place) for place in (self.target.redis, self.target.database) if place)
            left = Content.assemble(left, (f"   {places}", QUIET_STYLE))
        return [beside(left, self._pulse_words(width), width)]

    def _badge(self) -> Content:
        if self.target is None:
            return Content("")
        style = f"bold reverse {BAD_STYLE if self.target.remote else BLUE_STYLE}"
        name = Content.styled(f" {safe(self.target.environment)} ", style)
        lock = (
            Content.styled(" read-only ", f"reverse {QUIET_STYLE}") if self.target.read_only else Content("")
        )
        return Content.assemble(name, " " if lock else "", lock)

    def _mode_words(self) -> Content:
        mode = self.mode.value
        if mode is None:
            words = safe(self.mode.error or self.mode.absent or "looking …")
            return Content.styled(words, BAD_STYLE if self.mode.error else QUIET_STYLE)
        lasts = f" {age(mode.since, self.moment)}" if mode.since and self.moment else ""
        if mode.mode == "queue":
            return Content.assemble((GOOD, OK_STYLE), " queue mode", (lasts, QUIET_STYLE))
        if mode.mode == "fallback":
            reason = f": {safe(mode.reason)}" if mode.reason else ""
            return Content.styled(f"{WARN} fallback{lasts}{reason}", WARN_STYLE)
        return Content.styled(f"{BAD} nobody plans", f"bold {BAD_STYLE}")

    def _pulse_words(self, width: int) -> Content:
        pulse = self.pulse
        time = Content.styled(f"{clock(self.moment)} UTC" if width >= NARROW else clock(self.moment), "")
        states = {
            "live": (GOOD, OK_STYLE, f"every {span(pulse.every_seconds)}"),
            "paused": (HELD, WARN_STYLE, "paused, p goes on"),
            "asleep": (IDLE, WARN_STYLE, "asleep, any key wakes"),
            "waiting": (IDLE, QUIET_STYLE, "…"),
        }
        mark, style, words = states[pulse.state]
        old = f"{WARN} {span(pulse.old_seconds)} old  " if pulse.old_seconds is not None else ""
        unit = "/mo  " if width < NARROW else " cmds/month at 1 h a day  "
        cost = f"{short(pulse.commands_per_month)}{unit}" if pulse.state == "live" and not old else ""
        return Content.assemble(
            (cost, QUIET_STYLE),
            (mark, style),
            (f" {words}  ", QUIET_STYLE),
            (old, f"bold {WARN_STYLE}"),
            time,
        )


class NavBar(Drawn):
    """The views by number. ``counts``: what waits there, and whether that is bad."""

    current: reactive[str] = reactive("overview")
    counts: reactive[Mapping[str, tuple[str, str]]] = reactive({})

    def lines(self, width: int) -> list[Content]:
        """One line; short names where there is little room."""
        roomy = width >= NARROW
        parts = [self._item(number, name, roomy) for number, name in enumerate(VIEWS, 1)]
        return [Content("   " if roomy else " ").join(parts)]

    def _item(self, number: int, name: str, roomy: bool) -> Content:
        title = name.capitalize() if roomy else _SHORT_NAMES.get(name, name.capitalize())
        here = name == self.current
        words, style = self.counts.get(name, ("", ""))
        pad, paint = (" ", " on $chosen") if here else ("", "")
        item = Content.assemble(
            (f"{pad}{number}", f"bold {ACCENT_STYLE}{paint}" if here else QUIET_STYLE),
            (f" {title}{pad}" if roomy else f"{title}{pad}", f"bold{paint}" if here else ""),
            (f" {words}" if words else "", f"bold {style}"),
        )
        return item.stylize(Style.from_meta({"@click": f"screen.command('view-{name}')"}))
