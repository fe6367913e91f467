"""What the main screen does with the views' questions: each goes to the deck in a thread, its answer to the view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from console.messages import (
    AuditWanted,
    CommandsWanted,
    DeliveriesWanted,
    DeliveryOpened,
    DoctorWanted,
    FailuresWanted,
    FindingOpened,
    HistoryWanted,
    JobOpened,
    JobsFiltered,
    JobsWanted,
    LogWanted,
    ProcessesWanted,
)
from console.screens.base import console_of
from console.screens.delivery import DeliveryScreen
from console.screens.finding import FindingScreen
from console.screens.job import JobScreen
from console.views.deliveries import Deliveries
from console.views.failures import Failures
from console.views.health import Health
from console.views.jobs import Jobs
from console.views.overview import Overview
from console.views.processes import Processes
from console.views.stuck import Stuck
from fixionmail.ops.views.jobs import FailureGroup

if TYPE_CHECKING:
    from console.app import ConsoleApp


class Answers(Screen[None]):
    """Part of the main screen."""

    @property
    def console_app(self) -> ConsoleApp:
        """The app."""
        return console_of(self)

    def on_jobs_wanted(self, wanted: JobsWanted) -> None:
        """A page of jobs."""
        app, view = self.console_app, self.query_one(Jobs)
        app.ask_all(
            "jobs",
            lambda: app.deck.jobs(wanted.query, wanted.cursor),
            lambda page: view.set_page(wanted.query, wanted.cursor, page),
            view.end_page,
        )

    def on_jobs_filtered(self, wanted: JobsFiltered) -> None:
        """Go to the jobs that match."""
        self.go("jobs")
        self.query_one(Jobs).set_filter(wanted.query)

    def on_job_opened(self, wanted: JobOpened) -> None:
        """Show a job above the views."""
        self.app.push_screen(JobScreen(wanted.job_id))

    def on_delivery_opened(self, wanted: DeliveryOpened) -> None:
        """Show a delivery above the views."""
        self.app.push_screen(DeliveryScreen(wanted.delivery_id))

    def on_finding_opened(self, wanted: FindingOpened) -> None:
        """Show a finding above the views."""
        found = next((f for f in self.query_one(Stuck).everything if f.key == wanted.key), None)
        if found is not None:
            self.app.push_screen(FindingScreen(found))

    def on_failures_wanted(self, wanted: FailuresWanted) -> None:
        """Failures by fingerprint, as they are read."""
        app, view = self.console_app, self.query_one(Failures)
        last: list[tuple[FailureGroup, ...]] = [()]

        def show(groups: tuple[FailureGroup, ...]) -> None:
            last[0] = groups
            view.set_groups(groups, reading=True)

        def end(words: str) -> None:
            view.set_groups(last[0], reading=False)
            if words:
                view.set_error(words)

        app.ask_all("failures", app.deck.failures, show, end)

    def on_deliveries_wanted(self, wanted: DeliveriesWanted) -> None:
        """A page of a tab, or the duplicate check."""
        app, view = self.console_app, self.query_one(Deliveries)
        if wanted.tab == "duplicates":
            app.ask("deliveries", app.deck.duplicates, view.set_duplicates, view.set_error)
        else:
            app.ask(
                "deliveries",
                lambda: app.deck.deliveries(wanted.tab, wanted.cursor),
                lambda page: view.set_page(wanted.tab, wanted.cursor, page),
                view.set_error,
            )

    def on_processes_wanted(self, wanted: ProcessesWanted) -> None:
        """The processes of this machine."""
        app, view = self.console_app, self.query_one(Processes)
        app.ask("processes", app.deck.processes, view.set_processes, view.set_error)

    def on_log_wanted(self, wanted: LogWanted) -> None:
        """More of a log."""
        app, view = self.console_app, self.query_one(Processes)
        app.ask(
            "log",
            lambda: app.deck.log(wanted.name, wanted.position),
            lambda tail: view.set_log(wanted.name, tail),
            lambda words: view.set_log_error(wanted.name, words),
        )

    def on_audit_wanted(self, wanted: AuditWanted) -> None:
        """Start the audit, or stop it."""
        app, view = self.console_app, self.query_one(Stuck)
        if wanted.ended:
            app.drop("audit")
            view.end_audit()
        else:
            app.ask_all("audit", app.deck.audit, view.set_audit, view.end_audit)

    def on_doctor_wanted(self, wanted: DoctorWanted) -> None:
        """Every check, as it ends."""
        app, view = self.console_app, self.query_one(Health)
        app.ask_all("doctor", lambda: app.deck.doctor(wanted.deep), view.add_check, view.end_checks)

    def on_commands_wanted(self, wanted: CommandsWanted) -> None:
        """Who costs how much."""
        app, view = self.console_app, self.query_one(Health)
        app.ask("commands", app.deck.commands, view.set_costs, view.set_costs_error)

    def on_history_wanted(self, wanted: HistoryWanted) -> None:
        """The curves of a span of time; without them there are none."""
        app, view = self.console_app, self.query_one(Overview)
        app.ask(
            "history",
            lambda: app.deck.history(wanted.seconds),
            lambda curves: view.set_history(wanted.seconds, curves),
            _leave,
        )

    def go(self, name: str) -> Any:
        """Bring a view to the front."""
        raise NotImplementedError


def _leave(words: str) -> None:
    """A curve that cannot be read is no trouble worth a word."""
