"""The attention strip: what is wrong, worst first, each with the key that cures it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from console.commands import CURE_KEYS
from console.figures import brief, since, span
from console.marks import ACCENT_STYLE, GOOD, IDLE, OK_STYLE, QUIET_STYLE, WARN_STYLE, harm_mark, harm_style
from console.sections import LOOKING
from console.text import plain, safe
from console.widgets.masthead import Pulse
from console.widgets.table import Column, Row, Table
from fixionmail.ops.views.findings import Cure, Finding, Harm

COLUMNS = (
    Column(name="", width=1),
    Column(name="wrong", least=24, snug=True),
    Column(name="for", width=4, right=True, rank=2),
    Column(name="", width=1),
    Column(name="cure", least=18, rank=1),
)


def calm(words: str, moment: datetime | None, pulse: Pulse) -> Content:
    """What stands where nothing is wrong: ``words``, but no more than is known before the first look, and when the
    last one is older than it should be."""
    if moment is None:
        return LOOKING
    if pulse.old_seconds is None:
        return Content.assemble((GOOD, OK_STYLE), f" {words}")
    return Content.styled(
        f"{IDLE} Nothing was wrong {span(pulse.old_seconds)} ago, at the last look.", WARN_STYLE
    )


def actionable(finding: Finding) -> Cure | None:
    """The first cure that a key can start."""
    return next((cure for cure in finding.cures if cure.action), None)


def cure_words(finding: Finding) -> Content:
    """What mends it, in a few words."""
    cure = actionable(finding) or (finding.cures[0] if finding.cures else None)
    if cure is None:
        return Content("")
    if cure.action or not cure.command:
        more = f" ({safe(cure.automatic)})" if cure.automatic else ""
        return Content.assemble(plain(cure.label), (more, QUIET_STYLE))
    return Content.assemble((f"{safe(cure.label)}: ", QUIET_STYLE), plain(cure.command))


def strip_rows(findings: Sequence[Finding], keys: Sequence[str], now: datetime | None) -> tuple[Row, ...]:
    """A row for each finding; the first ones that can be cured get a key each."""
    free = iter(keys)
    rows = []
    for finding in findings:
        key = next(free, "") if actionable(finding) else ""
        lasts = brief(since(finding.since, now)) if finding.since and now else ""
        loud = "bold " if finding.harm >= Harm.LOST else ""
        rows.append(
            Row(
                key=finding.key,
                cells=(
                    harm_mark(finding.harm),
                    plain(finding.title, f"{loud}{harm_style(finding.harm)}"),
                    Content.styled(lasts, QUIET_STYLE),
                    Content.styled(key, f"bold {ACCENT_STYLE}"),
                    cure_words(finding),
                ),
            )
        )
    return tuple(rows)


def curable(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that have a key, in the order of the keys."""
    return [finding for finding in findings if actionable(finding)][: len(CURE_KEYS)]


class AttentionStrip(Table):
    """The findings as a table without heading, as high as there is trouble. All is well only after a look."""

    def __init__(self) -> None:
        super().__init__(*COLUMNS, empty=LOOKING, head=False, fitted=True, id="attention")
