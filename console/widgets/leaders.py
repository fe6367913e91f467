"""Who plans and who sends: the loops, their leaders and their next tick."""

from __future__ import annotations

from datetime import datetime

from textual.content import Content
from textual.reactive import reactive

from console.figures import until
from console.marks import BAD, BAD_STYLE, GOOD, OK_STYLE, QUIET_STYLE, WARN_STYLE
from console.sections import Shown
from console.text import fit, plain, safe
from console.widgets.panel import Drawn
from fixionmail.ops.views.database import LoopView


class Leaders(Drawn):
    """A line for each loop, and one for what its last tick complained of."""

    loops: reactive[Shown[tuple[LoopView, ...]]] = reactive(Shown(), repaint=False)
    moment: reactive[datetime | None] = reactive(None)

    def watch_loops(self) -> None:
        self.redraw()

    def lines(self, width: int) -> list[Content]:
        """The loops."""
        loops = self.loops.value
        if loops is None:
            return [Content.styled("" if self.loops.error else self.loops.absent or "looking …", QUIET_STYLE)]
        if not loops:
            return [Content.styled("No loop has ever run here.", QUIET_STYLE)]
        lines: list[Content] = []
        for loop in loops:
            lines.append(fit(self._loop(loop), width))
            if loop.problem:
                lines.append(
                    Content.assemble("  ", plain(loop.problem, WARN_STYLE)).truncate(width, ellipsis=True)
                )
        return lines

    def _loop(self, loop: LoopView) -> Content:
        name = f"{safe(loop.name):<10}"
        if loop.leader is None or not loop.held:
            return Content.assemble(
                (f"{BAD} ", BAD_STYLE), (name, "bold"), ("nobody leads", f"bold {BAD_STYLE}")
            )
        spare = len(loop.standby)
        parts = [
            plain(loop.leader.host),
            Content.styled(f"next tick {until(loop.next_tick_at, self.moment)}" if self.moment else "", ""),
            Content.styled(f"+{spare} standby" if spare else "no standby", QUIET_STYLE),
            Content.styled(
                "  ".join(f"{safe(key)} {value}" for key, value in loop.counts.items()), QUIET_STYLE
            ),
        ]
        return Content.assemble((f"{GOOD} ", OK_STYLE), (name, "bold"), Content("  ").join(parts))
