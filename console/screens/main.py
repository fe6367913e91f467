"""The main screen: masthead, views, filter line and key bar. It asks the deck on behalf of the views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from console.commands import BY_ID, bindings
from console.messages import FilterChanged
from console.screens.answers import Answers
from console.screens.base import console_of
from console.screens.finding import FindingScreen
from console.screens.help import HelpScreen
from console.sections import Shown, renewed
from console.views.base import View, typing_in
from console.views.deliveries import Deliveries
from console.views.failures import Failures
from console.views.health import Health
from console.views.jobs import Jobs
from console.views.overview import Overview
from console.views.processes import Processes
from console.views.stuck import Stuck
from console.views.workers import Workers
from console.widgets.attention import curable
from console.widgets.badges import badges
from console.widgets.filterline import FilterLine
from console.widgets.keybar import KeyBar
from console.widgets.masthead import Masthead, NavBar, Pulse
from console.widgets.notice import Notice
from console.widgets.table import Table
from fixionmail.ops.views.database import DatabaseView, DeliveriesView, FunnelView, LoopView, ModeView
from fixionmail.ops.views.findings import Cure, Finding
from fixionmail.ops.views.redis import QueueView, RedisView, WorkerView
from fixionmail.ops.views.section import Section, Target
from fixionmail.ops.views.snapshot import Snapshot

_SECTIONS = {
    "redis": "redis",
    "queues": "queues",
    "workers": "crew",
    "mode": "mode",
    "loops": "loops",
    "funnel": "funnel",
    "deliveries": "deliveries",
    "database": "database",
}
"""A section of a snapshot, and the reactive that shows it; ``workers`` means something else to Textual."""


class MainScreen(Answers, Screen[None]):
    """One reactive for each section of a snapshot; the views are bound to those they show."""

    BINDINGS: ClassVar[list[Any]] = bindings()

    redis: reactive[Shown[RedisView]] = reactive(Shown())
    queues: reactive[Shown[tuple[QueueView, ...]]] = reactive(Shown())
    crew: reactive[Shown[tuple[WorkerView, ...]]] = reactive(Shown())
    mode: reactive[Shown[ModeView]] = reactive(Shown())
    loops: reactive[Shown[tuple[LoopView, ...]]] = reactive(Shown())
    funnel: reactive[Shown[FunnelView]] = reactive(Shown())
    deliveries: reactive[Shown[DeliveriesView]] = reactive(Shown())
    database: reactive[Shown[DatabaseView]] = reactive(Shown())
    findings: reactive[tuple[Finding, ...]] = reactive(())
    moment: reactive[datetime | None] = reactive(None)
    target: reactive[Target | None] = reactive(None)
    pulse: reactive[Pulse] = reactive(Pulse())
    place: reactive[str] = reactive("overview")

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__()
        self.keys = keys

    def compose(self) -> ComposeResult:
        """Where one is, what there is, what one can do."""
        cls = MainScreen
        yield Masthead().data_bind(cls.target, cls.mode, cls.pulse, cls.moment)
        yield NavBar().data_bind(current=cls.place)
        yield Notice().data_bind(cls.findings, cls.place)
        with ContentSwitcher(initial="overview", id="views"):
            yield Overview(id="overview").data_bind(
                cls.funnel, cls.queues, cls.crew, cls.loops, cls.findings, cls.moment, cls.pulse
            )
            yield Jobs(id="jobs-view").data_bind(cls.queues, cls.moment)
            yield Failures(id="failures-view").data_bind(cls.queues, cls.moment)
            yield Workers(id="workers-view").data_bind(cls.crew, cls.moment)
            yield Deliveries(id="deliveries-view").data_bind(cls.deliveries, cls.moment)
            yield Stuck(id="stuck-view").data_bind(cls.findings, cls.moment, cls.pulse)
            yield Processes(id="processes-view").data_bind(cls.moment)
            yield Health(id="health-view").data_bind(cls.redis, cls.database, cls.moment)
        yield FilterLine()
        yield KeyBar(self.keys).data_bind(cls.place)

    def on_mount(self) -> None:
        """Know the target before the first look."""
        self.target = self._target(console_of(self).deck.target)
        self.query_one(KeyBar).read_only = console_of(self).read_only
        self.view.focus_first()

    @property
    def view(self) -> View:
        """The view at the front."""
        return self.view_called(self.place)

    def view_called(self, name: str) -> View:
        """A view by its name."""
        return self.query_one(f"#{_view_id(name)}", View)

    def show(self, snapshot: Snapshot, findings: tuple[Finding, ...]) -> None:
        """Show a look. Sections that failed keep what they showed before, and say so."""
        before = self.moment
        for section_name, name in _SECTIONS.items():
            section: Section[Any] = getattr(snapshot, section_name)
            setattr(self, name, renewed(getattr(self, name), section, before))
        first = before is None
        self.moment, self.findings = snapshot.taken_at, findings
        self.target = self._target(snapshot.target)
        self.query_one(NavBar).counts = badges(snapshot, findings)
        if first:
            self.view.shown()
            self.view.focus_first()
        elif self.is_active:  # rows do not move under an open dialog
            self.view.looked()

    @on(Table.Chosen)
    def tell_chosen(self) -> None:
        """The keys for what is chosen come first."""
        self.query_one(KeyBar).chosen = self.view.chosen_state()

    def _target(self, target: Target) -> Target:
        return replace(target, read_only=console_of(self).read_only)

    def go(self, name: str) -> None:
        """Bring a view to the front."""
        if name != self.place:
            self.remove_class("-zoomed")
            self.view.left()
            self.place = name
            self.query_one(ContentSwitcher).current = _view_id(name)
            self.query_one(FilterLine).close()
            self.view.shown()
            self.tell_chosen()
        self.view.focus_first()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Commands work in their views, and none while somebody types."""
        if action != "command":
            return True
        command = BY_ID[str(parameters[0])]
        typing = typing_in(self.focused) and command.id != "back"
        return command.works_in(self.place) and not typing

    def action_command(self, command_id: str) -> None:
        """Do what a command says."""
        command = BY_ID[command_id]
        if command_id.startswith("view-"):
            self.go(command_id.removeprefix("view-"))
        elif command_id.startswith("cure-"):
            self._cure(int(command_id.removeprefix("cure-")))
        elif command.action:
            action = self.view.action_of(command)
            targets = (command.target,) if command.target else self.view.targets(action)
            console_of(self).change(action, targets, command.title)
        elif not self.view.do(command_id):
            getattr(self, f"_do_{command_id.replace('-', '_')}", lambda: None)()

    def action_tab(self, name: str) -> None:
        """Go to a tab of the deliveries; a click on it."""
        self.query_one(Deliveries).open_tab(name)

    def _cure(self, number: int) -> None:
        cure = self._cure_numbered(number)
        if cure is None:
            console_of(self).notify_text("No trouble here has a cure that a key could start; w says why.")
        else:
            console_of(self).cure(cure)

    def _cure_numbered(self, number: int) -> Cure | None:
        if self.place == "stuck" and number == 1:
            return self.query_one(Stuck).cure()
        found = curable(self.findings)
        if number > len(found):
            return None
        return next(cure for cure in found[number - 1].cures if cure.action)

    def _do_back(self) -> None:
        line = self.query_one(FilterLine)
        if line.is_open:
            line.close()
            self.view.focus_first()
        elif self.has_class("-zoomed"):
            self.remove_class("-zoomed")
        elif not self.view.back() and self.place != "overview":
            self.go("overview")

    def _do_filter(self) -> None:
        view = self.view
        self.query_one(FilterLine).open(view.filter_text(), view.filter_hints())

    def on_filter_changed(self, message: FilterChanged) -> None:
        """Filter at once where that is free, else when the line is sent."""
        if message.done or self.place in ("failures", "processes"):
            self.view.set_filter(message.text)
        if message.done:
            self.query_one(FilterLine).close()
            self.view.focus_first()

    def _do_refresh(self) -> None:
        console_of(self).look_now()

    def _do_pause(self) -> None:
        console_of(self).pause()

    def _do_zoom(self) -> None:
        self.toggle_class("-zoomed")

    def on_descendant_focus(self) -> None:
        """The focused table's part is the one that zooms."""
        for widget in self.query(".-front"):
            widget.remove_class("-front")
        focused: Widget | None = self.focused
        if focused is not None:
            focused.add_class("-front")

    def _do_copy_id(self) -> None:
        self._copy(self.view.copied())

    def _do_copy_command(self) -> None:
        self._copy(self.view.command_line())

    def _copy(self, text: str) -> None:
        if text:
            self.app.copy_to_clipboard(text)
            console_of(self).notify_text(f"Copied: {text}")

    def _do_palette(self) -> None:
        self.app.action_command_palette()

    def _do_help(self) -> None:
        self.app.push_screen(HelpScreen(self.place))

    def _do_why(self) -> None:
        if self.findings:
            self.app.push_screen(FindingScreen(self.view.chosen_finding() or self.findings[0]))
        else:
            console_of(self).notify_text("Nothing is wrong.")

    def _do_quit(self) -> None:
        if self.place == "overview":
            self.app.exit()
        else:
            self.go("overview")


def _view_id(name: str) -> str:
    return name if name == "overview" else f"{name}-view"
