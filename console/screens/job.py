"""One job in full: why it is not running, what happened to it, what it failed of, what it was given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from console.commands import BY_ID, CURE_KEYS, bindings, key_of
from console.figures import moment as moment_words
from console.figures import span
from console.marks import BAD_STYLE, FAINT_STYLE, QUIET_STYLE, WARN, WARN_STYLE, state
from console.screens.base import console_of, keys_of
from console.screens.help import HelpScreen
from console.text import block, plain, safe
from console.widgets.heading import Heading
from console.widgets.keybar import KeyBar
from console.widgets.masthead import Masthead
from console.widgets.trouble import cure_lines
from fixionmail.ops.views.jobs import JobDetail


def facts(job: JobDetail) -> Content:
    """What it is and where it is."""
    ttl = "" if job.ttl_seconds is None else f"its record goes in {span(job.ttl_seconds)}"
    lines = [
        ("state", state(job.state)),
        ("queue", plain(job.queue)),
        ("function", plain(job.function)),
        ("worker", plain(job.worker or "–")),
        ("is in", plain(", ".join(job.places) or "no list and no registry", "" if job.places else BAD_STYLE)),
        *((name, plain(value)) for name, value in job.meta.items()),
    ]
    if job.dependents:
        lines.append(("holds up", plain(", ".join(job.dependents))))
    if job.depends_on:
        lines.append(("waits for", plain(", ".join(job.depends_on))))
    if ttl:
        lines.append(("", Content.styled(ttl, QUIET_STYLE)))
    return _pairs(lines)


def story_facts(job: JobDetail) -> Content:
    """What the database says of the story or delivery that it stands for."""
    return _pairs([(name, plain(value)) for name, value in job.story_job.items()])


def _pairs(pairs: Sequence[tuple[str, Content]]) -> Content:
    return Content("\n").join(
        Content.assemble((f"{safe(name)[:15]:<16}", QUIET_STYLE), value) for name, value in pairs
    )


def timeline(job: JobDetail, now: datetime) -> Content:
    """What happened, with the time between."""
    lines, before = [], None
    for event in job.timeline:
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


def why_lines(job: JobDetail, keys: list[str]) -> Content:
    """Why it is not running, and the cures."""
    reasons = [Content.assemble((f"{WARN} ", WARN_STYLE), plain(reason)) for reason in job.why]
    return Content("\n").join([*reasons, *cure_lines(job.cures, keys)])


class JobScreen(Screen[None]):
    """A screen of its own; Esc goes back."""

    BINDINGS: ClassVar[list[Any]] = bindings()
    place = "job"

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id
        self.job: JobDetail | None = None

    def compose(self) -> ComposeResult:
        """Two columns of parts, and the long texts under them."""
        yield Masthead()
        yield Heading("Job", id="head-job")
        with VerticalScroll(id="job-body"):
            yield Static("", id="job-why", markup=False)
            with Horizontal(id="job-top"):
                with Vertical():
                    yield Heading("What it is")
                    yield Static(Content("looking …"), id="job-facts")
                with Vertical():
                    yield Heading("What happened")
                    yield Static("", id="job-timeline", markup=False)
            yield Heading("Its story", id="head-story")
            yield Static("", id="job-story", markup=False)
            yield Heading("Error", id="head-error")
            yield Static("", id="job-error", markup=False)
            yield Heading("Attempts", id="head-attempts")
            yield Static("", id="job-attempts", markup=False)
            yield Heading("Payload")
            yield Static("", id="job-payload", markup=False)
            yield Heading("Log", "lines on this machine that name it")
            yield Static(Content("looking …"), id="job-log")
        yield KeyBar(keys_of(self))

    def on_mount(self) -> None:
        """Ask for it."""
        main, masthead = console_of(self).main, self.query_one(Masthead)
        masthead.target, masthead.mode = main.target, main.mode
        self.set_interval(1.0, self._show_pulse)
        self._show_pulse()
        self.query_one(KeyBar).place = "job"
        self.query_one(KeyBar).read_only = console_of(self).read_only
        self.query_one("#head-job", Heading).note = plain(self.job_id, "bold")
        self.ask()

    def _show_pulse(self) -> None:
        main, masthead = console_of(self).main, self.query_one(Masthead)
        masthead.pulse, masthead.moment = main.pulse, main.moment

    def ask(self) -> None:
        """Look at the job, and for its lines in the logs."""
        app = console_of(self)
        app.ask("job", lambda: app.deck.job(self.job_id), self._show, self._show_error)
        app.ask("job-log", lambda: app.deck.job_log(self.job_id), self._show_log, self._show_log_error)

    def _show(self, job: JobDetail) -> None:
        if not self.is_mounted:
            return
        self.job = job
        now = console_of(self).main.moment or datetime.now().astimezone()
        keys = [key_of(BY_ID[f"cure-{n}"], keys_of(self)) for n in range(1, len(CURE_KEYS) + 1)]
        self._fill("#job-why", why_lines(job, keys))
        self._fill("#job-facts", facts(job))
        self._fill("#job-timeline", timeline(job, now))
        self._fill("#job-story", story_facts(job))
        self.query_one("#head-story").display = bool(job.story_job)
        self._fill("#job-error", block(job.error, BAD_STYLE))
        self.query_one("#head-error").display = bool(job.error)
        self._fill("#job-attempts", block("\n".join(job.attempts)))
        self.query_one("#head-attempts").display = bool(job.attempts)
        self._fill("#job-payload", block(job.payload or "none"))

    def _show_error(self, words: str) -> None:
        if self.is_mounted:
            self._fill("#job-facts", plain(words, BAD_STYLE))

    def _show_log(self, lines: tuple[str, ...]) -> None:
        if self.is_mounted:
            self._fill("#job-log", block("\n".join(lines)) if lines else Content.styled("none", QUIET_STYLE))

    def _show_log_error(self, words: str) -> None:
        if self.is_mounted:
            self._fill("#job-log", plain(words, QUIET_STYLE))

    def _fill(self, selector: str, content: Content) -> None:
        widget = self.query_one(selector, Static)
        widget.update(content)
        widget.display = bool(content.plain)

    def on_screen_resume(self) -> None:
        """Something may have been changed meanwhile."""
        if self.job is not None:
            self.ask()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The commands of a job."""
        return action != "command" or BY_ID[str(parameters[0])].works_in("job")

    def action_command(self, command_id: str) -> None:
        """Do what a command says."""
        app, command = console_of(self), BY_ID[command_id]
        if command_id.startswith("view-"):
            self.dismiss()
            app.main.go(command_id.removeprefix("view-"))
        elif command_id.startswith("cure-"):
            self._cure(int(command_id.removeprefix("cure-")))
        elif command.action:
            app.change(command.action, (self.job_id,))
        elif command_id in ("back", "quit"):
            self.dismiss()
        elif command_id == "refresh":
            self.ask()
        elif command_id == "help":
            app.push_screen(HelpScreen("job"))
        elif command_id == "palette":
            app.action_command_palette()
        elif command_id in ("copy-id", "copy-command"):
            text = self.job_id if command_id == "copy-id" else f"fixionmail jobs show {self.job_id}"
            app.copy_to_clipboard(text)
            app.notify_text(f"Copied: {text}")

    def _cure(self, number: int) -> None:
        cures = [cure for cure in self.job.cures if cure.action] if self.job else []
        if number <= len(cures):
            cure = cures[number - 1]
            console_of(self).change(cure.action, cure.targets or (self.job_id,), cure.label)
