"""Telling somebody of trouble: once when it has lasted, once when it is over, and again only when it comes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fixionmail.ops.actions import command_of
from fixionmail.ops.views.findings import Finding, Harm

MAX_EVIDENCE = 5


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something to tell: trouble that has ``begun``, or is ``over``."""

    what: str
    finding: Finding
    at: datetime

    def to_json(self, environment: str) -> dict[str, Any]:
        """As a webhook gets it. ``environment``: which deployment it is about."""
        return {
            "schema": 1,
            "event": self.what,
            "environment": environment,
            "at": self.at.isoformat(),
            "key": self.finding.key,
            "kind": self.finding.kind,
            "harm": self.finding.harm.name.lower(),
            "title": self.finding.title,
            "cause": self.finding.cause,
            "evidence": list(self.finding.evidence[:MAX_EVIDENCE]),
            "count": self.finding.count,
            "since": self.finding.since.isoformat() if self.finding.since else None,
            "cures": [
                {"label": cure.label, "command": command_of(cure), "automatic": cure.automatic}
                for cure in self.finding.cures
            ],
        }


@dataclass(kw_only=True)
class _Trouble:
    finding: Finding
    unseen: frozenset[str] = frozenset()
    """What could not be seen when it was last there."""
    seen: int = 0
    missed: int = 0
    told: bool = False


@dataclass(kw_only=True)
class Watch:
    """Turns looks into alerts, with hysteresis.

    Args:
        looks: so many looks in a row trouble must be there before it is told of, and gone before it is over.
        least: what is less harmful is not told of.
    """

    looks: int = 2
    least: Harm = Harm.COST
    _known: dict[str, _Trouble] = field(default_factory=dict)

    def take(
        self, findings: Iterable[Finding], at: datetime, unseen: frozenset[str] = frozenset()
    ) -> tuple[Alert, ...]:
        """What there is to tell after one more look.

        Args:
            findings: what is wrong.
            at: when the look was taken.
            unseen: the parts that it could not see. Trouble is not over as long as something is among them that was
                seen when it was last there: a server that is gone has not got well.
        """
        present = {finding.key: finding for finding in findings if finding.harm >= self.least}
        alerts: list[Alert] = []
        for key, finding in present.items():
            trouble = self._known.setdefault(key, _Trouble(finding=finding))
            trouble.finding, trouble.unseen, trouble.missed = finding, unseen, 0
            trouble.seen += 1
            if not trouble.told and trouble.seen >= self.looks:
                trouble.told = True
                alerts.append(Alert(what="begun", finding=finding, at=at))
        away = [
            key for key, trouble in self._known.items() if key not in present and unseen <= trouble.unseen
        ]
        for key in away:
            trouble = self._known[key]
            trouble.missed += 1
            if trouble.missed >= self.looks or not trouble.told:
                del self._known[key]
                if trouble.told:
                    alerts.append(Alert(what="over", finding=trouble.finding, at=at))
        return tuple(alerts)
