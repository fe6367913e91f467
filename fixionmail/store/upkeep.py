"""Recovery and the overview: what the delivery leader repairs, and what people look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fixionmail.models.operations import LeaderRow, LineRow, ProcessRow, SwitchRow
from fixionmail.store.transport import Caller, instant


@dataclass(frozen=True)
class Upkeep:
    """Database functions of ``009_recover.sql``, ``006_counters.sql`` and ``011_overview.sql``."""

    _call: Caller

    def reap(self, *, fence: int, limit: int = 1000) -> dict[str, int]:
        """Repair what dead holders left and close what is too late; how many of each kind, empty when stale."""
        repairs: dict[str, int] = self._call("reap_v1", fence=fence, limit=limit)["repairs"]
        return repairs

    def fold_counters(self) -> int:
        """Add up the counters' changes; how many rows there were."""
        return int(self._call("fold_counters_v1")["folded"])

    def sweep_heartbeats(self) -> int:
        """Forget processes that have been silent for a day; how many there were."""
        return int(self._call("sweep_heartbeats_v1")["forgotten"])

    def record_audit(
        self, *, actor: str, host: str, action: str, target: str, reason: str, result: Mapping[str, Any]
    ) -> None:
        """Put a person's action on record."""
        self._call(
            "record_audit_v1",
            actor=actor,
            host=host,
            action=action,
            target=target,
            reason=reason,
            result=result,
        )


def leader_row(row: dict[str, Any]) -> LeaderRow:
    """A lease as the database tells of it."""
    return LeaderRow(
        name=row["name"],
        holder=row["holder"] or "",
        fence=row["fence"],
        held=row["held"],
        acquired_at=datetime.fromisoformat(row["acquired_at"]),
        info=row["info"],
    )


def process_row(row: dict[str, Any]) -> ProcessRow:
    """A heartbeat as the database tells of it."""
    return ProcessRow(
        process=row["process"],
        kind=row["kind"],
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        started_at=datetime.fromisoformat(row["started_at"]),
        silent_seconds=row["silent_s"],
        info=row["info"],
    )


def switch_row(row: dict[str, Any]) -> SwitchRow:
    """A switch as the database tells of it."""
    return SwitchRow(
        name=row["name"],
        set_by=row["set_by"],
        reason=row["reason"],
        set_at=datetime.fromisoformat(row["set_at"]),
    )


def line_row(row: dict[str, Any]) -> LineRow:
    """A send line as the database tells of it."""
    return LineRow(
        name=row["name"],
        rate=row["rate"],
        paused_until=instant(row["paused_until"]),
        paused_reason=row["paused_reason"] or "",
    )
