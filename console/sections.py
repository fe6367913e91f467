"""What a view shows of a section: its value, or its error beside the last good value and that value's age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from textual.content import Content

from console.marks import QUIET_STYLE
from fixionmail.ops.views.section import Section

T = TypeVar("T")
LOOKING = Content.styled("looking …", QUIET_STYLE)
UNKNOWN = Content.styled("not known", QUIET_STYLE)
"""Stands in a table without rows where nothing could be read: that there is nothing is more than anybody knows."""


@dataclass(frozen=True, kw_only=True)
class Shown(Generic[T]):
    """A section on the screen. ``good_at``: when ``value`` was seen, set only while it is out of date."""

    value: T | None = None
    error: str = ""
    absent: str = ""
    good_at: datetime | None = None

    @property
    def waiting(self) -> bool:
        """Nothing has been heard yet."""
        return self.value is None and not self.error and not self.absent

    def nothing(self, words: str) -> Content:
        """What stands in its table without rows: ``words`` where it is known that there are none."""
        if self.waiting:
            return LOOKING
        return UNKNOWN if self.value is None and self.error else Content(words)


def renewed(before: Shown[T], section: Section[T], before_at: datetime | None) -> Shown[T]:
    """What to show after a look; ``before_at`` is the instant of the look before it."""
    if section.value is not None:
        return Shown(value=section.value)
    if section.absent:
        return Shown(absent=section.absent)
    good_at = before.good_at or (before_at if before.value is not None else None)
    return Shown(value=before.value, error=section.error or "no answer", good_at=good_at)
