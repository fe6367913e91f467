"""Story jobs: planning them, ringing for them, and what a worker does with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from fixionmail import wishes
from fixionmail.models.jobs import Claim, DueSubscriber, Planned, PlannedJob
from fixionmail.models.stories import Brief, CastMember, FinishedStep, Story
from fixionmail.models.verdict import Verdict
from fixionmail.store.transport import Caller, instant


@dataclass(frozen=True)
class StoryJobs:
    """Database functions of ``007_add_job_locking.sql``, and those of ``016_story_bibles.sql`` that replace some."""

    _call: Caller

    def due_subscribers(
        self, *, until: datetime, limit: int, after: DueSubscriber | None = None
    ) -> list[DueSubscriber]:
        """Subscribers whose next story is due before ``until``, earliest first, after the position of ``after``."""
        rows = self._call(
            "due_subscribers_v1",
            until=until,
            limit=limit,
            after_due_at=after and after.next_due_at,
            after_user=after and after.user_id,
        )
        return [_due_subscriber(row) for row in rows]

    def plan(self, *, fence: int, sweep_seconds: float, plan: Sequence[PlannedJob]) -> Planned:
        """Create the jobs and move their subscribers on, as the leader of ``scheduler`` with this fence.

        Jobs of one subscriber stand together, oldest first; the last of them tells where the subscriber goes on.
        A subscriber whom somebody else moved in between is left alone.
        """
        row = self._call(
            "plan_stories_v1",
            fence=fence,
            sweep_s=sweep_seconds,
            subscribers=[_moved(job) for job in {job.user_id: job for job in plan}.values()],
            jobs=[
                {
                    "id": job.job_id,
                    "user_id": job.user_id,
                    "local_date": job.local_date,
                    "due_at": job.due_at,
                    "send_until": job.send_until,
                    "missed": job.missed,
                }
                for job in plan
            ],
        )
        return Planned(stale=row["verdict"] == "stale", job_ids=_ids(row["jobs"]), missed=row["missed"])

    def ring(self, *, fence: int, sweep_seconds: float, limit: int) -> tuple[UUID, ...]:
        """Pending jobs whose doorbell is to be rung (again); they come again after ``sweep_seconds``."""
        row = self._call("ring_stories_v1", fence=fence, sweep_s=sweep_seconds, limit=limit)
        return _ids(row["jobs"])

    def claim(self, job_id: UUID, *, holder: str, lease_seconds: float, charge: int) -> Claim:
        """Take a job; only with the verdict GO is it ours, until the lease ends."""
        row = self._call(
            "claim_story_job_v2", job=job_id, holder=holder, lease_s=lease_seconds, charge=charge
        )
        if row["verdict"] != "go":
            return Claim(verdict=Verdict(row["verdict"]))
        return Claim(
            verdict=Verdict.GO,
            token=row["token"],
            attempt=row["attempt"],
            brief=read_brief(row["brief"]),
            steps=tuple(FinishedStep(**step) for step in row["steps"]),
        )

    def extend_all(
        self, claims: Sequence[tuple[UUID, int, str, int]], *, lease_seconds: float
    ) -> frozenset[UUID]:
        """Keep claims, each a job with its token, step and percent; the jobs that have passed to others."""
        row = self._call(
            "extend_story_jobs_v1",
            lease_s=lease_seconds,
            claims=[
                {"job": job, "token": token, "step": step, "percent": percent}
                for job, token, step, percent in claims
            ],
        )
        return frozenset(_ids(row["stale"]))

    def complete(
        self, job_id: UUID, *, token: int, story_id: UUID, delivery_id: UUID, story: Story, charge: int
    ) -> tuple[Verdict, bool]:
        """Store the story, schedule its delivery, end the job. OK, ALREADY or STALE, and whether it is due now."""
        row = self._call(
            "complete_story_job_v2",
            job=job_id,
            token=token,
            story=story_id,
            delivery=delivery_id,
            title=story.title,
            body=story.body,
            writer=story.writer,
            charge=charge,
            plot=story.plot,
            names=list(story.names),
            cast=[{"name": person.name, "role": person.role} for person in story.cast],
            fallback_from=story.fallback_from or None,
        )
        return Verdict(row["verdict"]), bool(row.get("due_now"))

    def fail(self, job_id: UUID, *, token: int, error: str, retry_seconds: float | None) -> Verdict:
        """End this attempt: RETRY, FAILED (attempts used up, or ``retry_seconds`` is None), ALREADY or STALE."""
        row = self._call("fail_story_job_v1", job=job_id, token=token, error=error, retry_s=retry_seconds)
        return Verdict(row["verdict"])

    def postpone(self, job_id: UUID, *, token: int, wait_seconds: float, reason: str) -> Verdict:
        """Hand a job back for a while, for a reason that is not its own: OK, ALREADY or STALE. It costs no attempt."""
        row = self._call("postpone_story_job_v1", job=job_id, token=token, wait_s=wait_seconds, reason=reason)
        return Verdict(row["verdict"])

    def release(self, job_id: UUID, *, token: int) -> Verdict:
        """Hand a job back untouched: OK or STALE. It costs no attempt."""
        return Verdict(self._call("release_story_job_v1", job=job_id, token=token)["verdict"])


def _ids(texts: Sequence[str]) -> tuple[UUID, ...]:
    return tuple(UUID(text) for text in texts)


def _due_subscriber(row: dict[str, Any]) -> DueSubscriber:
    return DueSubscriber(
        user_id=UUID(row["user_id"]),
        timezone=row["timezone"],
        delivery_time=row["delivery_time"],
        next_local_date=date.fromisoformat(row["next_local_date"]),
        next_due_at=datetime.fromisoformat(row["next_due_at"]),
        last_due_at=instant(row["last_due_at"]),
    )


def _moved(last: PlannedJob) -> dict[str, Any]:
    return {
        "user_id": last.user_id,
        "seen_due_at": last.seen_due_at,
        "next_local_date": last.next_local_date,
        "next_due_at": last.next_due_at,
        "last_local_date": last.local_date,
        "last_due_at": last.due_at,
    }


def read_brief(row: dict[str, Any]) -> Brief:
    """The brief of a job, or of a story to be written by hand; wishes that are out of bounds count as not uttered."""
    bible = row["story_bible"]
    return Brief(
        job_id=UUID(row["job_id"]),
        user_id=UUID(row["user_id"]),
        local_date=date.fromisoformat(row["local_date"]),
        genre=str(bible.get("genre", "")),
        setting=str(bible.get("setting", "")),
        character=str(bible.get("character", "")),
        intensity=wishes.intensity(bible.get("intensity")),
        length=wishes.length(bible.get("length")),
        language=wishes.language(bible.get("language")),
        cast=tuple(CastMember(name=str(p["name"]), role=str(p["role"])) for p in row["cast"]),
        past_titles=tuple(row["past_titles"]),
        past_plots=tuple(row["past_plots"]),
        past_names=tuple(row["past_names"]),
    )
