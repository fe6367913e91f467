"""The scheduler loop: plans the stories that are due soon and rings for those that wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from fixionmail.jobs.dispatch import Dispatcher
from fixionmail.loops.notes import joined, redis_note
from fixionmail.loops.runner import Report
from fixionmail.models.jobs import DueSubscriber, PlannedJob
from fixionmail.schedule import Due, occurrences
from fixionmail.store import Store

PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What the loop works with. ``lead``: how long before its delivery a story is begun."""

    store: Store
    dispatcher: Dispatcher
    lead: timedelta
    sweep_seconds: float
    """A story job that nobody has taken this long after its ring is rung for again."""
    paused: bool = False
    """SCHEDULER_PAUSED: nothing new is planned; what is planned is still rung for."""

    def tick(self, fence: int, now: datetime) -> Report:
        """Plan what is due until ``now`` plus the lead, and ring; the cost follows what is due."""
        self.dispatcher.look_for_redis()
        planned, missed = (0, 0) if self.paused else self._plan_all(fence, now)
        rung = self._ring_waiting(fence)
        counts = {"planned": planned, "missed": missed, "rung again": rung}
        return Report(
            counts={what: n for what, n in counts.items() if n},
            note=joined(
                "SCHEDULER_PAUSED is set: nothing new is planned" if self.paused else "",
                redis_note(self.dispatcher),
            ),
        )

    def _plan_all(self, fence: int, now: datetime) -> tuple[int, int]:
        planned = missed = 0
        after: DueSubscriber | None = None
        while page := self.store.jobs.due_subscribers(until=now + self.lead, limit=PAGE, after=after):
            result = self.store.jobs.plan(
                fence=fence,
                sweep_seconds=self.sweep_seconds,
                plan=[
                    job for subscriber in page for job in plan_subscriber(subscriber, now, now + self.lead)
                ],
            )
            if result.stale:
                break
            self._ring(result.job_ids)
            planned += len(result.job_ids)
            missed += result.missed
            if len(page) < PAGE:
                break
            after = page[-1]
        return planned, missed

    def _ring_waiting(self, fence: int) -> int:
        rung = 0
        while waiting := self.store.jobs.ring(fence=fence, sweep_seconds=self.sweep_seconds, limit=PAGE):
            self._ring(waiting)
            rung += len(waiting)
            if len(waiting) < PAGE:
                break
        return rung

    def _ring(self, job_ids: Sequence[UUID]) -> None:
        self.dispatcher.ring_stories(job_ids)


def plan_subscriber(subscriber: DueSubscriber, now: datetime, until: datetime) -> list[PlannedJob]:
    """The jobs of one subscriber that are due until ``until``, oldest first; those too late to send are missed."""
    dues = occurrences(
        timezone=subscriber.timezone,
        delivery_time=subscriber.delivery_time,
        from_date=subscriber.next_local_date,
        last_due_at=subscriber.last_due_at,
    )
    jobs: list[PlannedJob] = []
    due = next(dues)
    while not jobs or due.due_at <= until:
        following = next(dues)
        jobs.append(_job(subscriber, due, following, now))
        due = following
    return jobs


def _job(subscriber: DueSubscriber, due: Due, following: Due, now: datetime) -> PlannedJob:
    return PlannedJob(
        job_id=uuid7(),
        user_id=subscriber.user_id,
        local_date=due.local_date,
        due_at=due.due_at,
        send_until=due.send_until,
        seen_due_at=subscriber.next_due_at,
        next_local_date=following.local_date,
        next_due_at=following.due_at,
        missed="nothing was running in time to write it" if due.send_until <= now else None,
    )
