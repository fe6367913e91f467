"""Today's stories, from due to arrived."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive

from console.figures import short, whole
from console.marks import ACCENT_STYLE, BAD, BAD_STYLE, BLUE_STYLE, FAINT_STYLE, OK_STYLE, QUIET_STYLE, bar
from console.sections import Shown
from console.text import fit
from console.widgets.panel import Drawn
from fixionmail.ops.views.database import FunnelView

LOW = 96


class Funnel(Drawn):
    """A bar for each stage; where there is little room, one line of figures above one bar."""

    funnel: reactive[Shown[FunnelView]] = reactive(Shown(), repaint=False)

    def watch_funnel(self) -> None:
        self.redraw()

    def lines(self, width: int) -> list[Content]:
        """The stages."""
        seen = self.funnel.value
        if seen is None:
            words = "" if self.funnel.error or self.funnel.absent else "looking …"
            return [Content.styled(words or "no stories are known of", QUIET_STYLE)]
        if seen.due == 0 and seen.written == 0:
            return [Content.styled("No story is due today.", QUIET_STYLE)]
        return (
            self._compact(seen, width)
            if width < LOW or self.app.size.height < 36
            else self._stages(seen, width)
        )

    def _stages(self, seen: FunnelView, width: int) -> list[Content]:
        stages = (
            ("due", seen.due, QUIET_STYLE, ""),
            (
                "written",
                seen.written,
                BLUE_STYLE,
                f"{whole(seen.writing)} being written, {whole(seen.waiting_to_write)} wait",
            ),
            (
                "sent",
                seen.sent,
                ACCENT_STYLE,
                f"{whole(max(0, seen.written - seen.sent))} wait for their time",
            ),
            ("delivered", seen.delivered, OK_STYLE, ""),
        )
        made = [self._stage(name, count, seen.due, style, note, width) for name, count, style, note in stages]
        style = BAD_STYLE if seen.failed else QUIET_STYLE
        made.append(
            Content.assemble(
                (fit(Content("will not arrive"), 16).plain, QUIET_STYLE), (f"{whole(seen.failed):>9}", style)
            )
        )
        return made

    def _stage(self, name: str, count: int, due: int, style: str, note: str, width: int) -> Content:
        if name == "due":
            return Content.assemble((f"{name:<16}", QUIET_STYLE), (f"{whole(count):>9}", "bold"))
        part = count / due if due else 0.0
        room = max(10, width - 16 - 9 - 2 - 7 - 36)
        return fit(
            Content.assemble(
                (f"{name:<16}", QUIET_STYLE),
                (f"{whole(count):>9}", "bold"),
                "  ",
                bar(part, room, style),
                (f"{part:>6.0%} ", ""),
                (f" {note}", QUIET_STYLE),
            ),
            width,
        )

    def _compact(self, seen: FunnelView, width: int) -> list[Content]:
        due = seen.due or 1
        figures = Content.assemble(
            (short(seen.due), "bold"),
            (" due  ", QUIET_STYLE),
            (short(seen.written), f"bold {BLUE_STYLE}"),
            (f" written {seen.written / due:.0%}  ", QUIET_STYLE),
            (short(seen.sent), f"bold {ACCENT_STYLE}"),
            (f" sent {seen.sent / due:.0%}  ", QUIET_STYLE),
            (short(seen.delivered), f"bold {OK_STYLE}"),
            (f" delivered {seen.delivered / due:.0%}  ", QUIET_STYLE),
            (f"{BAD} {whole(seen.failed)} failed" if seen.failed else "", BAD_STYLE),
        )
        return [fit(figures, width), _layered(seen, width)]


def _layered(seen: FunnelView, width: int) -> Content:
    """One bar in which each stage covers the part of the one before it."""
    due = max(1, seen.due)
    ends = [round(min(1.0, n / due) * width) for n in (seen.delivered, seen.sent, seen.written)]
    delivered, sent, written = ends[0], max(ends[0], ends[1]), max(ends)
    return Content.assemble(
        ("━" * delivered, OK_STYLE),
        ("━" * (sent - delivered), ACCENT_STYLE),
        ("━" * (written - sent), BLUE_STYLE),
        ("─" * (width - written), FAINT_STYLE),
    )
