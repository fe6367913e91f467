"""The whole database at one look, for those who operate it, and what they do by hand, on record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from fixionmail.models.jobs import StoryJobRow
from fixionmail.models.operations import LeaderRow, LineRow, OperationsRow, ProcessRow, SwitchRow, Witness
from fixionmail.store.deliveries import duplicate_finding
from fixionmail.store.transport import Caller, instant

LEAD = timedelta(minutes=30)
"""How long before its delivery a story is planned, unless the settings say otherwise."""
SHOWN = 5
"""How many rows of each kind are told of."""


@dataclass(frozen=True)
class Operations:
    """Database functions of ``013_operations.sql`` and ``030_audit_side.sql`` on, which write nothing, and of
    ``021_operate.sql``, ``035_rejected_addresses.sql`` and ``038_open_story_lines.sql``."""

    _call: Caller

    def snapshot(self, day: date, *, lead: timedelta = LEAD) -> OperationsRow:
        """Everything at one look; what it costs grows neither with subscribers nor with history.

        Args:
            day: the subscribers' own local date, of which stories are counted.
            lead: how long before its delivery a story is planned.
        """
        row = self._call("operations_snapshot_v1", day=day, lead_s=lead.total_seconds(), limit=SHOWN)
        mail, server, oldest = row["mail"], row["server"], row["mail"]["oldest_job"] or {}
        return OperationsRow(
            now=datetime.fromisoformat(row["now"]),
            jobs=row["counts"].get("job", {}),
            deliveries=row["counts"].get("delivery", {}),
            users=row["users"].get("subscriber", {}),
            zones=row["users"].get("zone", {}),
            leaders=tuple(_leader_row(r) for r in row["leases"]),
            processes=tuple(_process_row(r) for r in row["processes"]),
            switches=tuple(_switch_row(r) for r in mail["switches"]),
            lines=tuple(_line_row(r) for r in mail["lines"]),
            due=mail["due"],
            sending=mail["sending"],
            uncertain=mail["uncertain"],
            oldest_due_at=instant(mail["oldest_due_at"]),
            next_due_at=instant(mail["next_due_at"]),
            next_plan_at=instant(mail["next_plan_at"]),
            unplanned=mail["unplanned"],
            jobs_waiting=mail["jobs_waiting"],
            jobs_resting=mail["jobs_resting"],
            jobs_running=mail["jobs_running"],
            jobs_lapsed=row["jobs_lapsed"],
            oldest_job_at=instant(oldest.get("created_at")),
            oldest_job_due_at=instant(oldest.get("due_at")),
            batches=mail["batches"],
            witnesses=_by_kind(row["witnesses"]),
            duplicates=tuple(duplicate_finding(r) for r in row["duplicates"]),
            migrations=tuple(row["migrations"]),
            version=server["version"],
            size_bytes=server["size"],
            connections=server["connections"],
            max_connections=server["max_connections"],
        )

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

    def waiting_jobs(self, *, limit: int = 5000) -> tuple[UUID, ...]:
        """Story jobs that may be claimed now and have not been, those that have waited longest first."""
        return tuple(UUID(job) for job in self._call("waiting_jobs_v1", limit=limit))

    def unknown_story_jobs(self, job_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Of these, the story jobs that are not there."""
        return frozenset(UUID(job) for job in self._call("unknown_story_jobs_v1", jobs=list(job_ids)))

    def announced_story_jobs(
        self, *, after: datetime | None = None, limit: int = 5000
    ) -> tuple[tuple[UUID, datetime], ...]:
        """Story jobs that were rung for and not claimed since, each with the time at which it is rung for again.

        Args:
            after: the time of the last one of the page before.
            limit: jobs on the page, which ends with all that share a time.
        """
        rows = self._call("announced_story_jobs_v1", after=after, limit=limit)
        return tuple((UUID(row["job"]), datetime.fromisoformat(row["ring_at"])) for row in rows)

    def open_line(self, line: str, *, by: str, host: str, reason: str) -> str:
        """Let a line that stands still go on: ``ok``, ``already`` or ``gone``."""
        return str(self._call("open_line_v3", line=line, by=by, host=host, reason=reason)["verdict"])

    def story_job(self, job_id: UUID) -> StoryJobRow | None:
        """All that decides whether a story job can run; None when there is none."""
        row = self._call("story_job_v1", job=job_id)
        if row is None:
            return None
        return StoryJobRow(
            state=row["state"],
            attempt=row["attempt"],
            max_attempts=row["max_attempts"],
            error=row["error"] or "",
            due_at=datetime.fromisoformat(row["due_at"]),
            send_until=datetime.fromisoformat(row["send_until"]),
            run_after=datetime.fromisoformat(row["run_after"]),
            holder=row["holder"] or "",
            lease_expires_at=instant(row["lease_expires_at"]),
            step=row["step"] or "",
            percent=row["percent"],
            rests=row["rests"],
            too_late=row["too_late"],
            lapsed=row["lapsed"],
            subscriber=row["subscriber"] or "",
            email=row["email"] or "",
            delivery_id=row["delivery"] or "",
            delivery_state=row["delivery_state"] or "",
        )

    def subscribers_in_zones(self, zones: Iterable[str]) -> tuple[Witness, ...]:
        """Some of the subscribers who live in one of these time zones: the id, and ``address: zone``."""
        rows = self._call("subscribers_in_zones_v1", zones=sorted(zones), limit=SHOWN)
        return tuple(
            Witness(subject=row["user_id"], detail=f"{row['email']}: {row['timezone']}", at=None)
            for row in rows
        )

    def rejected_subscribers(self, day: date) -> tuple[Witness, ...]:
        """Those whose mail the provider rejected lately and who would get the next one: the id, and why."""
        rows = self._call("rejected_subscribers_v1", day=day, limit=SHOWN)
        return _by_kind(rows).get("rejected", ())


def _by_kind(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Witness, ...]]:
    kinds: dict[str, list[Witness]] = {}
    for row in rows:
        witness = Witness(subject=row["subject"], detail=row["detail"], at=instant(row["at"]))
        kinds.setdefault(row["kind"], []).append(witness)
    return {kind: tuple(found) for kind, found in kinds.items()}


def _leader_row(row: dict[str, Any]) -> LeaderRow:
    """A lease as the database tells of it."""
    return LeaderRow(
        name=row["name"],
        holder=row["holder"] or "",
        fence=row["fence"],
        held=row["held"],
        acquired_at=datetime.fromisoformat(row["acquired_at"]),
        info=row["info"],
    )


def _process_row(row: dict[str, Any]) -> ProcessRow:
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


def _switch_row(row: dict[str, Any]) -> SwitchRow:
    """A switch as the database tells of it."""
    return SwitchRow(
        name=row["name"],
        set_by=row["set_by"],
        reason=row["reason"],
        set_at=datetime.fromisoformat(row["set_at"]),
    )


def _line_row(row: dict[str, Any]) -> LineRow:
    """A send line as the database tells of it."""
    return LineRow(
        name=row["name"],
        rate=row["rate"],
        paused_until=instant(row["paused_until"]),
        paused_reason=row["paused_reason"] or "",
    )
