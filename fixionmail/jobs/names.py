"""Queue names and job ids: the words that Redis knows our work by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

EMAILS = "emails"
STORIES = "stories"
QUEUES = (EMAILS, STORIES)
"""Most urgent first."""

WRITE_STORY = "fixionmail.jobs.tasks.write_story"
SEND_MAIL = "fixionmail.jobs.tasks.send_mail"
"""The only functions that a worker runs."""

_STORY = "story-"
MAX_LANES = 4
"""So many rounds of mail are under way at once, at most; they share one rate."""
ROUND_SECONDS = 15.0
"""A round of mail ends after this, so that a worker that is told to stop can finish it; the next takes over."""


def story_job_id(job_id: UUID) -> str:
    """The rq job that rings for a story job. One id for one job: ringing twice changes nothing."""
    return f"{_STORY}{job_id}"


def story_of(rq_id: str) -> UUID | None:
    """The story job that an rq job rings for; None when it is none of ours."""
    return story_meant(rq_id) if rq_id.startswith(_STORY) else None


def story_meant(target: str) -> UUID | None:
    """The story job that is meant, by its own id or by that of the rq job that rings for it; None when it is none."""
    try:
        return UUID(target.removeprefix(_STORY))
    except ValueError:
        return None


def mail_job_ids(now: datetime, lanes: int) -> Sequence[str]:
    """The rq jobs that ring for due mail. The same lanes have the same ids for one round's time.

    A round that has used up its time rings in the next one's: under its own id it would be found still running.
    """
    turn = int(now.timestamp() // ROUND_SECONDS)
    return [f"mail-{turn}-{lane}" for lane in range(min(lanes, MAX_LANES))]
