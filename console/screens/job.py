"""One job in full: why it is not running, what happened to it, what it failed of, what it was given."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from console.figures import span
from console.marks import BAD_STYLE, QUIET_STYLE, WARN, WARN_STYLE, state
from console.screens.base import console_of, keys_of
from console.screens.detail import DetailScreen, pairs, timeline
from console.text import block, plain
from console.widgets.heading import Heading
from console.widgets.keybar import KeyBar
from console.widgets.masthead import Masthead
from console.widgets.trouble import cure_lines
from fixionmail.ops.views.findings import Cure
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
    return pairs(lines)


def story_facts(job: JobDetail) -> Content:
    """What the database says of the story or delivery that it stands for."""
    return pairs([(name, plain(value)) for name, value in job.story_job.items()])


def why_lines(job: JobDetail, keys: list[str]) -> Content:
    """Why it is not running, and the cures."""
    reasons = [Content.assemble((f"{WARN} ", WARN_STYLE), plain(reason)) for reason in job.why]
    return Content("\n").join([*reasons, *cure_lines(job.cures, keys)])


class JobScreen(DetailScreen):
    """A job."""

    place = "job"
    command = "fixionmail jobs show"

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
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

    def ask(self) -> None:
        """Look at the job, and for its lines in the logs."""
        app = console_of(self)
        app.ask("job", lambda: app.deck.job(self.subject), self._show, self._show_error)
        app.ask("job-log", lambda: app.deck.job_log(self.subject), self._show_log, self._show_log_error)

    def cures(self) -> Sequence[Cure]:
        """What mends it."""
        return self.job.cures if self.job else ()

    def _show(self, job: JobDetail) -> None:
        self.job = job
        if self.is_mounted:
            self.query_one("#head-job", Heading).note = plain(self.subject, "bold")
        self.fill("#job-why", why_lines(job, self.cure_keys()))
        self.fill("#job-facts", facts(job))
        self.fill("#job-timeline", timeline(job.timeline, self.now))
        self.fill("#job-story", story_facts(job), "#head-story")
        self.fill("#job-error", block(job.error, BAD_STYLE), "#head-error")
        self.fill("#job-attempts", block("\n".join(job.attempts)), "#head-attempts")
        self.fill("#job-payload", block(job.payload or "none"))

    def _show_error(self, words: str) -> None:
        self.fill("#job-facts", plain(words, BAD_STYLE))

    def _show_log(self, lines: tuple[str, ...]) -> None:
        self.fill("#job-log", block("\n".join(lines)) if lines else Content.styled("none", QUIET_STYLE))

    def _show_log_error(self, words: str) -> None:
        self.fill("#job-log", plain(words, QUIET_STYLE))
