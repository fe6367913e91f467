"""Figures as people read them: counts, ages, instants and sizes, each in as few cells as say it."""

from __future__ import annotations

from datetime import datetime, timedelta

_SIZES = ("B", "KB", "MB", "GB", "TB")
FAR_AWAY = timedelta(days=3650)
"""An instant further off than this stands for "until somebody acts"."""


def whole(number: int) -> str:
    """``12,345``."""
    return f"{number:,}"


def short(number: float) -> str:
    """``999``, ``12.3k``, ``4.5M``: at most five cells."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            scaled = number / limit
            return f"{scaled:.0f}{unit}" if scaled >= 100 else f"{scaled:.1f}{unit}"
    return f"{number:.0f}" if number == int(number) or abs(number) >= 10 else f"{number:.1f}"


def span(seconds: float | None) -> str:
    """A duration in its two largest units: ``8s``, ``4m 10s``, ``2h 05m``, ``3d 4h``; a dash for none."""
    if seconds is None:
        return "–"
    left = max(0, round(seconds))
    if left < 60:
        return f"{left}s"
    if left < 3600:
        return f"{left // 60}m {left % 60:02}s"
    if left < 86400:
        return f"{left // 3600}h {left % 3600 // 60:02}m"
    return f"{left // 86400}d {left % 86400 // 3600}h"


def brief(seconds: float | None) -> str:
    """A duration in its largest unit: ``8s``, ``4m``, ``2h``, ``3d``."""
    return span(seconds).split()[0]


def since(then: datetime | None, now: datetime) -> float | None:
    """Seconds from ``then`` to ``now``; None when there is no such instant."""
    return None if then is None else (now - then).total_seconds()


def age(then: datetime | None, now: datetime) -> str:
    """How long ago ``then`` was."""
    return span(since(then, now))


def until(then: datetime | None, now: datetime) -> str:
    """How long it is to ``then``: ``in 12s``, or ``now``."""
    if then is None:
        return "–"
    left = (then - now).total_seconds()
    if left > FAR_AWAY.total_seconds():
        return "until somebody acts"
    return f"in {span(left)}" if left >= 1 else "now"


def clock(then: datetime | None) -> str:
    """``14:05:09``; the console's times are UTC."""
    return "–" if then is None else f"{then:%H:%M:%S}"


def moment(then: datetime | None, now: datetime) -> str:
    """The time of an instant of today, with its date if it is not."""
    if then is None:
        return "–"
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%d %b %H:%M}"


def size(number: float | None) -> str:
    """``512 MB``."""
    if number is None:
        return "–"
    value, unit = float(number), 0
    while value >= 1000 and unit < len(_SIZES) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_SIZES[unit]}" if value >= 10 or unit == 0 else f"{value:.1f} {_SIZES[unit]}"


def rate(per_minute: float | None) -> str:
    """``12/m``, a dash where nobody counts."""
    return "–" if per_minute is None else f"{short(per_minute)}/m"


def plural(number: int, one: str, many: str = "") -> str:
    """``1 job``, ``3 jobs``."""
    return f"{whole(number)} {one if number == 1 else many or one + 's'}"
