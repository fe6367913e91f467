"""View 6: everything that the checks find, grouped by cause, and a full audit on demand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.reactive import reactive

from console.commands import BY_ID, key_of
from console.feed import AuditStep
from console.figures import plural, short, since, span, whole
from console.marks import ACCENT_STYLE, GOOD, OK_STYLE, QUIET_STYLE, bar, harm_mark, harm_style
from console.messages import AuditWanted, FindingOpened
from console.screens.base import keys_of
from console.sections import LOOKING, Shown
from console.text import plain, safe
from console.views.base import View
from console.widgets.attention import actionable, calm, cure_words
from console.widgets.heading import Heading
from console.widgets.masthead import Pulse
from console.widgets.panel import Drawn
from console.widgets.table import Column, Row, Table
from console.widgets.trouble import finding_text
from fixionmail.ops.views.findings import Cure, Finding, Harm

COLUMNS = (
    Column(name="", width=1),
    Column(name="what", least=26),
    Column(name="age", width=8, right=True, rank=1),
    Column(name="count", width=6, right=True, rank=2),
    Column(name="why", least=24, rank=4),
    Column(name="cure", least=18, rank=3),
)
GROUPS = {
    Harm.TWICE: "Mailed twice, or perhaps",
    Harm.LOST: "Will not arrive unless somebody acts",
    Harm.LATE: "Late",
    Harm.RISK: "A protection is missing",
    Harm.COST: "Costs money or capacity",
    Harm.NOTE: "Good to know",
}


def finding_rows(findings: Sequence[Finding], now: datetime | None) -> tuple[Row, ...]:
    """Findings under a heading for each kind of harm."""
    rows: list[Row] = []
    for harm, title in GROUPS.items():
        group = [finding for finding in findings if finding.harm is harm]
        if group:
            heading = Content.assemble(
                (f" {title}", f"bold {harm_style(harm)}"), (f"  {len(group)}", QUIET_STYLE)
            )
            rows.append(Row(key=f"harm:{harm.name}", cells=(heading,), heading=True))
            rows += [_row(finding, now) for finding in group]
    return tuple(rows)


def _row(finding: Finding, now: datetime | None) -> Row:
    lasts = span(since(finding.since, now)) if finding.since and now else ""
    return Row(
        key=finding.key,
        cells=(
            harm_mark(finding.harm),
            plain(finding.title, "bold"),
            Content.styled(lasts, QUIET_STYLE),
            Content(short(finding.count)),
            plain(finding.cause, QUIET_STYLE),
            cure_words(finding),
        ),
    )


class AuditLine(Drawn):
    """How far the audit is, or how to start one."""

    step: reactive[AuditStep | None] = reactive(None)
    running: reactive[bool] = reactive(False)
    error: reactive[str] = reactive("")

    def lines(self, width: int) -> list[Content]:
        """One line."""
        if self.error:
            return [plain(self.error, "$bad")]
        step = self.step
        if step is None:
            return [
                Content.assemble(
                    ("a", f"bold {ACCENT_STYLE}"),
                    (" looks at every key and row for what does not fit together", QUIET_STYLE),
                )
            ]
        found = plural(len(step.findings), "finding")
        if not self.running:
            ended = f"{whole(step.done)} of {whole(step.total)} {safe(step.words)} audited: {found}"
            return [Content.assemble((GOOD, OK_STYLE), f" {ended}", ("   a does it again", QUIET_STYLE))]
        part = step.done / step.total if step.total else 0.0
        return [
            Content.assemble(
                bar(part, 24, ACCENT_STYLE),
                f"  {part:.0%} of {whole(step.total)} {safe(step.words)}, {found}",
                ("   a stops it", QUIET_STYLE),
            )
        ]


class TroubleText(Drawn):
    """The chosen finding in full."""

    finding: reactive[Finding | None] = reactive(None)
    moment: reactive[datetime | None] = reactive(None)

    def watch_finding(self) -> None:
        self.redraw()

    def lines(self, width: int) -> list[Content]:
        """Its text, folded."""
        if self.finding is None:
            return [Content("")]
        keys = [key_of(BY_ID["cure-1"], keys_of(self.screen))]
        text = finding_text(self.finding, self.moment, keys)
        return [part for line in text.split("\n") for part in (line.wrap(width) if line else [line])]


class Stuck(View):
    """Findings of every refresh, and of the last audit."""

    findings: reactive[tuple[Finding, ...]] = reactive(())
    moment: reactive[datetime | None] = reactive(None)
    pulse: reactive[Pulse] = reactive(Pulse())
    main_table = "#stuck"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._audited: tuple[Finding, ...] = ()

    def compose(self) -> ComposeResult:
        """Findings above, the audit below."""
        yield Heading("What is wrong", id="head-stuck")
        yield Table(*COLUMNS, empty=LOOKING, id="stuck")
        yield Heading("The chosen one", id="head-trouble")
        yield TroubleText().data_bind(Stuck.moment)
        yield Heading("Audit", id="head-audit")
        yield AuditLine()

    @property
    def table(self) -> Table:
        """The table."""
        return self.query_one("#stuck", Table)

    @property
    def everything(self) -> tuple[Finding, ...]:
        """Findings of the look and of the audit, each once."""
        known = {finding.key for finding in self.findings}
        return self.findings + tuple(finding for finding in self._audited if finding.key not in known)

    def watch_findings(self) -> None:
        self._draw()

    def watch_moment(self) -> None:
        self.watch_pulse()
        self._draw()

    def watch_pulse(self) -> None:
        self.table.set_empty(calm("Nothing is stuck, lost, late or doubled.", self.moment, self.pulse))

    def _draw(self) -> None:
        found = self.everything
        self.table.rows = finding_rows(found, self.moment)
        self._choose()
        words = plural(len(found), "finding") + ", worst first" if found else ""
        self.query_one("#head-stuck", Heading).tell(Shown(), words)

    def changed(self) -> None:
        """What an audit found is there until the next one: look again."""
        if self._audited and not self.query_one(AuditLine).running:
            self._toggle_audit()

    def _toggle_audit(self) -> None:
        line = self.query_one(AuditLine)
        self.post_message(AuditWanted(ended=line.running))
        line.running = not line.running

    def set_audit(self, step: AuditStep) -> None:
        """The audit has got on."""
        line = self.query_one(AuditLine)
        line.step, line.running, line.error = step, not step.finished, ""
        self._audited = step.findings
        self._draw()
        if step.finished and step.findings:
            self.table.choose(step.findings[0].key)

    def end_audit(self, error: str = "") -> None:
        """The audit has ended, or could not go on."""
        line = self.query_one(AuditLine)
        line.running, line.error = False, error

    @on(Table.Chosen, "#stuck")
    def choose(self) -> None:
        """Show it in full."""
        self._choose()

    def _choose(self) -> None:
        finding = self.chosen_finding()
        self.query_one(TroubleText).finding = finding
        self.query_one("#head-trouble").display = finding is not None

    @on(Table.Opened, "#stuck")
    def open_finding(self, event: Table.Opened) -> None:
        """Show it with its evidence."""
        self.post_message(FindingOpened(event.key))

    def do(self, command_id: str) -> bool:
        """Open a finding, start or stop the audit."""
        if command_id == "open" and self.table.chosen:
            self.post_message(FindingOpened(self.table.key))
        elif command_id == "audit":
            self._toggle_audit()
        else:
            return False
        return True

    def chosen_finding(self) -> Finding | None:
        """The finding on which the choice is."""
        return next((finding for finding in self.everything if finding.key == self.table.key), None)

    def cure(self) -> Cure | None:
        """What mends the chosen finding."""
        finding = self.chosen_finding()
        return actionable(finding) if finding else None

    def copied(self) -> str:
        """What the finding is about."""
        finding = self.chosen_finding()
        return ",".join(finding.subjects) if finding else ""

    def command_line(self) -> str:
        """The command of its cure, or the one that shows the same."""
        finding = self.chosen_finding()
        commands = [cure.command for cure in finding.cures if cure.command] if finding else []
        return commands[0] if commands else "fixionmail doctor"
