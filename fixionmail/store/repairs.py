"""Mending rows that stand against a constraint that was not in force. For each contract see the migrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fixionmail.models.deliveries import SecondRow
from fixionmail.models.operations import StrayRow
from fixionmail.store.transport import Caller


@dataclass(frozen=True)
class Repairs:
    """Database functions of ``014_repair.sql`` and ``041_merged_and_lapsed_jobs.sql``.

    ``by``, ``host`` and ``reason`` go into the audit log.

    Those that change something answer ``ok``, ``already``, ``gone``, ``changed`` or ``refused: why``.
    """

    _call: Caller

    def second_rows(self, *, limit: int = 1000) -> tuple[SecondRow, ...]:
        """Deliveries, then jobs, that stand beside another one of the same story or date, which comes first."""
        found = {
            "delivery": self._call("second_deliveries_v1", limit=limit),
            "job": self._call("second_jobs_v1", limit=limit),
        }
        return tuple(
            SecondRow(
                what=what,
                row_id=UUID(row[what]),
                keeps=UUID(row["keeps"]),
                state=row["state"],
                why=row.get("why", "one date"),
            )
            for what, rows in found.items()
            for row in rows
        )

    def broken_constraints(self) -> tuple[str, ...]:
        """Those that are missing or not in force."""
        return tuple(self._call("broken_constraint_names_v1"))

    def set_aside(self, second: SecondRow, *, by: str, host: str, reason: str) -> str:
        """Take a second row out, a delivery altogether; all of it is in the audit log afterwards."""
        signature = {"by": by, "host": host, "reason": reason}
        if second.what == "job":
            answer = self._call("set_aside_job_v1", job=second.row_id, keeps=second.keeps, **signature)
        else:
            answer = self._call(
                "set_aside_delivery_v1", delivery=second.row_id, keeps=second.keeps, **signature
            )
        return _words(answer)

    def restore_constraint(self, name: str, *, by: str, host: str, reason: str) -> str:
        """Put a constraint in force again."""
        return _words(self._call("restore_constraint_v1", name=name, by=by, host=host, reason=reason))

    def stray_rows(self, *, limit: int = 1000) -> tuple[StrayRow, ...]:
        """Subscribers who share an address with an older one, and jobs without a subscriber."""
        return tuple(
            StrayRow(what=row["what"], row_id=UUID(row["id"]), words=row["words"])
            for row in self._call("stray_rows_v1", limit=limit)
        )

    def mend_stray(self, stray: StrayRow, *, by: str, host: str, reason: str) -> str:
        """Remove the subscriber, or cancel the job."""
        if stray.what == "job":
            answer = self._call("cancel_stray_job_v1", job=stray.row_id, by=by, host=host, reason=reason)
        else:
            answer = self._call("merge_subscriber_v1", user=stray.row_id, by=by, host=host, reason=reason)
        return _words(answer)


def _words(answer: dict[str, Any]) -> str:
    return f"{answer['verdict']}: {answer['reason']}" if "reason" in answer else str(answer["verdict"])
