"""The marks of the console's visual language: symbols beside colours, bars and small curves."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from fixionmail.ops.views.findings import Harm
from fixionmail.ops.views.redis import WorkerHealth

GOOD, WARN, BAD, BUSY, IDLE, HELD = "●", "▲", "✖", "◆", "○", "‖"

OK_STYLE, WARN_STYLE, BAD_STYLE = "$good", "$warn", "$bad"
QUIET_STYLE = "$quiet"
ACCENT_STYLE = "$busy"
BLUE_STYLE = "$calm"
FAINT_STYLE = "$faint"

_LEVELS = "▁▂▃▄▅▆▇█"

_HARM_STYLES = {
    Harm.TWICE: BAD_STYLE,
    Harm.LOST: BAD_STYLE,
    Harm.LATE: WARN_STYLE,
    Harm.RISK: WARN_STYLE,
    Harm.COST: BLUE_STYLE,
    Harm.NOTE: QUIET_STYLE,
}
_HARM_MARKS = {
    Harm.TWICE: BAD,
    Harm.LOST: BAD,
    Harm.LATE: WARN,
    Harm.RISK: WARN,
    Harm.COST: BUSY,
    Harm.NOTE: IDLE,
}
_STATES = {
    "queued": (IDLE, BLUE_STYLE),
    "scheduled": (IDLE, QUIET_STYLE),
    "deferred": (IDLE, QUIET_STYLE),
    "ready": (IDLE, BLUE_STYLE),
    "rate_limited": (HELD, BLUE_STYLE),
    "started": (BUSY, ACCENT_STYLE),
    "running": (BUSY, ACCENT_STYLE),
    "sending": (BUSY, ACCENT_STYLE),
    "finished": (GOOD, OK_STYLE),
    "sent": (GOOD, OK_STYLE),
    "delivered": (GOOD, OK_STYLE),
    "completed": (GOOD, OK_STYLE),
    "failed": (BAD, BAD_STYLE),
    "rejected": (BAD, BAD_STYLE),
    "bounced": (BAD, BAD_STYLE),
    "complained": (BAD, BAD_STYLE),
    "uncertain": (WARN, WARN_STYLE),
    "missed": (BAD, BAD_STYLE),
    "limbo": (WARN, WARN_STYLE),
    "canceled": (HELD, QUIET_STYLE),
    "cancelled": (HELD, QUIET_STYLE),
    "suppressed": (HELD, QUIET_STYLE),
    "pending": (IDLE, BLUE_STYLE),
}
_HEALTH = {
    WorkerHealth.OK: (GOOD, OK_STYLE),
    WorkerHealth.DRAINING: (HELD, BLUE_STYLE),
    WorkerHealth.SUSPENDED: (HELD, WARN_STYLE),
    WorkerHealth.QUIET: (WARN, WARN_STYLE),
    WorkerHealth.DEAD: (BAD, BAD_STYLE),
}


def harm_style(harm: Harm) -> str:
    """The colour of a harm."""
    return _HARM_STYLES[harm]


def harm_mark(harm: Harm) -> Content:
    """The symbol of a harm, in its colour."""
    return Content.styled(_HARM_MARKS[harm], _HARM_STYLES[harm])


def state(name: str) -> Content:
    """A state with its symbol; what went well steps back."""
    mark, style = _STATES.get(name, (IDLE, ""))
    return Content.assemble((mark, style), (f" {name}", QUIET_STYLE if style == OK_STYLE else style))


def health(name: WorkerHealth) -> Content:
    """A worker's health with its symbol."""
    mark, style = _HEALTH[name]
    return Content.styled(f"{mark} {name.value}", style)


def bar(fraction: float, width: int, style: str = BLUE_STYLE) -> Content:
    """A bar of ``width`` cells on its track, to half a cell; anything above nothing shows."""
    halves = round(min(1.0, max(0.0, fraction)) * width * 2)
    if fraction > 0:
        halves = max(1, halves)
    full, half = divmod(halves, 2)
    track = "─" * (width - full - half)
    return Content.assemble(("━" * full + "╸" * half, style), (track, FAINT_STYLE))


def curve(
    values: Sequence[float | None], width: int, style: str = BLUE_STYLE, *, top: float | None = None
) -> Content:
    """The last ``width`` values as a line of small bars, the newest at the right; None is drawn as nothing."""
    shown = [max(0.0, value or 0.0) for value in values[-width:]]
    highest = top if top is not None else max(shown, default=0.0)
    lead = "▁" * (width - len(shown))
    marks = [(_level(value, highest), style if value > 0 else FAINT_STYLE) for value in shown]
    return Content.assemble((lead, FAINT_STYLE), *marks).simplify()


def _level(value: float, highest: float) -> str:
    if value <= 0 or highest <= 0:
        return _LEVELS[0]
    return _LEVELS[min(7, max(1, round(value / highest * 7)))]
