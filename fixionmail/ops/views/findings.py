"""What is wrong, its cures, and how a change goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum


class Harm(IntEnum):
    """How bad a finding is: the higher, the nearer to the top of the screen."""

    NOTE = 1  # good to know
    COST = 2  # money or capacity is lost
    RISK = 3  # a protection is missing, or something will go wrong
    LATE = 4  # stories wait
    LOST = 5  # a story will not arrive unless somebody acts
    TWICE = 6  # somebody is, or may be, mailed twice


@dataclass(frozen=True, kw_only=True)
class Cure:
    """What mends it. ``action`` names one of ``ops.actions`` with its targets; else ``command`` is to be typed."""

    label: str
    action: str = ""
    targets: tuple[str, ...] = ()
    command: str = ""
    safe: bool = False
    """``doctor --fix`` may do it unasked."""
    automatic: str = ""
    """What happens by itself, and by when; empty when nothing does."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong, named. ``kind`` is a stable identifier such as ``queue-unserved``."""

    kind: str
    harm: Harm
    title: str
    """One line: what is wrong."""
    cause: str
    """One or two sentences: why."""
    evidence: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    """Ids or names it is about."""
    count: int = 1
    since: datetime | None = None
    cures: tuple[Cure, ...] = ()
    drill: int | None = None
    """Its row among the incident drills."""

    @property
    def key(self) -> str:
        """Names this trouble while it lasts, so that it is told of once."""
        return f"{self.kind}:{','.join(self.subjects[:3])}"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What an action would touch. ``seen`` goes back into the run, which changes nothing that has moved on since."""

    action: str
    count: int
    samples: tuple[str, ...]
    warnings: tuple[str, ...]
    destructive: bool
    command: str
    """The same on the command line."""
    seen: Mapping[str, str] = field(default_factory=dict)
    done: tuple[str, ...] = ("done",)
    """The outcomes that count as done."""
    asks: str = ""
    """What it needs beside its targets, in words; empty: nothing."""
    detail: str = ""
    """That, as the operator gave it."""

    def is_done(self, outcome: str) -> bool:
        """Whether an outcome of a target, such as ``done: and what came of it``, counts as done."""
        return outcome.partition(":")[0] in self.done


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a long action is. ``outcomes`` counts by word: done, moved on, gone, refused, failed."""

    done: int
    total: int
    outcomes: Mapping[str, int]
    cursor: str = ""
    """Where to go on after an interruption."""
    finished: bool = False
    details: tuple[tuple[str, str], ...] = ()
    """Id and outcome of those of this chunk."""
