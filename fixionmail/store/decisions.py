"""What operators decide about story jobs. See ``032_change_story_jobs.sql`` for each contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from fixionmail.models.jobs import StoryJobSeen
from fixionmail.store.transport import Caller


@dataclass(frozen=True)
class Decisions:
    """Database functions of ``032_change_story_jobs.sql``. ``by``, ``host`` and ``reason`` go into the audit log.

    Those that change something are given what was :meth:`seen` of each job. They answer for each ``ok``, ``already``,
    ``ended``, ``running``, ``changed``, ``gone`` or ``refused: why``.
    """

    _call: Caller

    def seen(self, job_ids: Sequence[UUID]) -> tuple[StoryJobSeen, ...]:
        """Those of these story jobs that there are."""
        return tuple(
            StoryJobSeen(
                job_id=UUID(row["job"]),
                state=row["state"],
                attempt=row["attempt"],
                max_attempts=row["max_attempts"],
                seen=row["seen"],
            )
            for row in self._call("seen_story_jobs_v1", jobs=list(job_ids))
        )

    def cancel(self, seen: Mapping[UUID, str], *, by: str, host: str, reason: str) -> dict[UUID, str]:
        """Let their stories not be written."""
        return self._decided("cancel_story_jobs_v1", seen, by, host, reason)

    def retry(self, seen: Mapping[UUID, str], *, by: str, host: str, reason: str) -> dict[UUID, str]:
        """Take them up again, at once and with all their attempts."""
        return self._decided("retry_story_jobs_v1", seen, by, host, reason)

    def _decided(
        self, function: str, seen: Mapping[UUID, str], by: str, host: str, reason: str
    ) -> dict[UUID, str]:
        jobs = [{"job": job, "seen": what} for job, what in seen.items()]
        answers = self._call(function, jobs=jobs, by=by, host=host, reason=reason)
        return {
            UUID(row["job"]): f"{row['verdict']}: {row['reason']}" if "reason" in row else row["verdict"]
            for row in answers
        }
