"""One line of the worst trouble, in every view but those that show it anyway."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive

from console.marks import ACCENT_STYLE, QUIET_STYLE, harm_mark, harm_style
from console.text import beside, plain
from console.widgets.attention import actionable, cure_words
from console.widgets.panel import Drawn
from fixionmail.ops.views.findings import Finding, Harm

HIDDEN_IN = ("overview", "stuck")


class Notice(Drawn):
    """There while something is late or worse."""

    findings: reactive[tuple[Finding, ...]] = reactive(())
    place: reactive[str] = reactive("overview")

    def watch_findings(self) -> None:
        self._appear()

    def watch_place(self) -> None:
        self._appear()

    def _appear(self) -> None:
        bad = bool(self.findings) and self.findings[0].harm >= Harm.RISK
        self.display = bad and self.place not in HIDDEN_IN

    def lines(self, width: int) -> list[Content]:
        """The worst one with its cure, and how many more there are."""
        if not self.findings:
            return [Content("")]
        worst, more = self.findings[0], len(self.findings) - 1
        left = Content.assemble(
            harm_mark(worst.harm), " ", plain(worst.title, f"bold {harm_style(worst.harm)}")
        )
        if more:
            left = Content.assemble(left, (f"  and {more} more in Stuck", QUIET_STYLE))
        if not actionable(worst):
            return [beside(left, Content.styled("w says why", QUIET_STYLE), width)]
        right = Content.assemble(
            ("F", f"bold {ACCENT_STYLE}"), " ", cure_words(worst).truncate(48, ellipsis=True)
        )
        return [beside(left, right, width)]
