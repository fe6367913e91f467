"""Why a job is not running: the first reason decides, those behind it would come next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fixionmail.jobs.names import STORIES, story_job_id, story_meant
from fixionmail.models.jobs import StoryJobRow
from fixionmail.ops import job_detail
from fixionmail.ops.checks import find
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Cure, Finding
from fixionmail.ops.views.jobs import JobDetail, RateLimit
from fixionmail.ops.views.snapshot import Snapshot

_ENDED = ("finished", "failed", "canceled", "stopped")
_QUEUE_WIDE = ("queue-paused", "queue-unserved", "queue-stands-still")
_EVERYWHERE = ("workers-suspended", "redis-read-only", "redis-full")
_LET_THROUGH = ("queued", "started")
_CLEANED_UP = Cure(
    label="wait",
    automatic="RQ lets it through when a worker cleans up; its own do at their start and every 10 minutes",
)
_QUEUED_LATER = Cure(
    label="wait",
    automatic="a worker on the same queue queues it when it cleans up, at its start and every 10 minutes",
)
_TAKEN = (
    "a worker took it off the queue and has not started it. Unless that was a moment ago, the worker has ended, and no "
    "other will take it."
)
_SEARCHED = 200_000
"""Entries of a list that are looked through for one job, half of them from either end."""
Reason = tuple[str, tuple[Cure, ...]]


def ask(observer: Observer, job_id: str) -> JobDetail | None:
    """One job, with the database's word and the reasons; None when nobody knows it. Two commands and two calls.

    Args:
        observer: the deployment.
        job_id: of an RQ job, or of a story job.

    Raises:
        RedisUnreachableError, FixionMailError: nothing answers that could know it.
    """
    story = story_meant(job_id) if observer.has_database else None
    row = observer.store().operations.story_job(story) if story else None
    rq_id = story_job_id(story) if story and row else job_id
    detail = job_detail.detail(observer.reader, rq_id) if observer.target.redis else None
    if detail is not None:
        return explained(detail, observer.look(), row)
    return without_redis(rq_id, observer.look(), row) if row else None


def explained(detail: JobDetail, snapshot: Snapshot, row: StoryJobRow | None) -> JobDetail:
    """``detail`` with what the database says of it, why it is not running, and what would help.

    Args:
        detail: the job as Redis has it.
        snapshot: the deployment.
        row: its story job; None when it has none, or there is no database.
    """
    reasons = list(_reasons(detail, snapshot, row))
    return replace(
        detail,
        story_job=_in_words(row) if row else {},
        why=tuple(words for words, _ in reasons),
        cures=tuple(dict.fromkeys(cure for _, cures in reasons for cure in cures)),
    )


def without_redis(job_id: str, snapshot: Snapshot, row: StoryJobRow) -> JobDetail:
    """A story job of which Redis knows nothing."""
    blank = JobDetail(
        job_id=job_id,
        state="unknown to Redis",
        places=(),
        queue=STORIES,
        function="",
        payload="",
        error=row.error,
        meta={},
        timeline=(),
        attempts=(),
        worker=row.holder,
        ttl_seconds=None,
        depends_on=(),
        story_job={},
        why=(),
    )
    return explained(blank, snapshot, row)


def _reasons(detail: JobDetail, snapshot: Snapshot, row: StoryJobRow | None) -> Iterator[Reason]:
    if row is not None:
        decided = _by_the_database(row)
        if decided is not None:
            words, cures = decided
            yield words, cures or _after_all(detail, snapshot, row)
            return
        if row.rests:
            yield _rests(row)
    if detail.state == "started":
        yield from _not_really_started(detail, snapshot)
        return
    if detail.state in _ENDED and row is None:
        return
    yield from _in_the_way(detail, snapshot)
    yield from _by_its_place(detail, snapshot, row)


def _by_the_database(row: StoryJobRow) -> Reason | None:
    """The last word: a job that has ended there does nothing, whatever Redis says."""
    if row.state == "completed":
        return f"Its story is written; the delivery is {row.delivery_state or 'not there'}.", ()
    if row.state in ("failed", "cancelled"):
        return (
            f"It has {'failed' if row.state == 'failed' else 'been cancelled'}: {row.error or 'no reason given'}",
            (),
        )
    if row.too_late:
        return f"It is too late: its story could be sent until {row.send_until:%Y-%m-%d %H:%M} UTC.", ()
    if row.subscriber != "active":
        return (
            f"Its subscriber is {row.subscriber or 'not there'}: it is cancelled when a worker takes it.",
            (),
        )
    if row.state == "running" and not row.lapsed:
        return f"It runs: {row.holder} holds it, step {row.step or 'unknown'}, {row.percent} %.", ()
    if row.lapsed:
        back = Cure(label="wait", automatic="the delivery loop takes it back within half a minute")
        return f"{row.holder} held it and no longer vouches for it.", (back,)
    return None


def _after_all(detail: JobDetail, snapshot: Snapshot, row: StoryJobRow) -> tuple[Cure, ...]:
    """One that has ended without its story can be taken up again, as long as somebody wants it."""
    if row.state not in ("failed", "cancelled") or row.send_until <= snapshot.taken_at:
        return ()
    return (Cure(label="write it after all", action="requeue", targets=(detail.job_id,)),)


def _rests(row: StoryJobRow) -> Reason:
    words = (
        f"Attempt {row.attempt} of {row.max_attempts} failed ({row.error or 'no reason given'}); "
        f"the next may begin at {row.run_after:%H:%M:%S} UTC."
    )
    return words, (Cure(label="wait", automatic="it is rung for again by then"),)


def _not_really_started(detail: JobDetail, snapshot: Snapshot) -> Iterator[Reason]:
    """It counts as started; that is a reason only when nobody works on it."""
    workers = {worker.name: worker for worker in snapshot.workers.value or ()}
    worker = workers.get(detail.worker)
    if snapshot.workers.ok and (worker is None or worker.health in ("dead", "quiet")):
        yield (
            f"It counts as started by {detail.worker or 'nobody known'}, who "
            f"{'is gone' if worker is None else f'is {worker.health.value}'}.",
            (Cure(label="queue it again", action="requeue", targets=(detail.job_id,)),),
        )


def _in_the_way(detail: JobDetail, snapshot: Snapshot) -> Iterator[Reason]:
    """Trouble that the checks find and that keeps this job waiting."""
    for finding in find(snapshot):
        everywhere = finding.kind in _EVERYWHERE or finding.kind.startswith(("database-", "migration-"))
        if everywhere or (finding.kind in _QUEUE_WIDE and detail.queue in finding.subjects):
            yield _from(finding)


def _from(finding: Finding) -> Reason:
    return f"{finding.title}. {finding.cause}", finding.cures


def _by_its_place(detail: JobDetail, snapshot: Snapshot, row: StoryJobRow | None) -> Iterator[Reason]:
    match detail.state:
        case "queued" if _waits_in_line(detail) or _is_too_long_to_search(detail.queue, snapshot):
            yield "It waits for its turn in the queue.", ()
        case "deferred":
            others = ", ".join(detail.depends_on) or "another job"
            yield f"It waits for {others} to succeed.", ()
        case "ready":
            yield _ready(detail)
        case "rate_limited" if detail.limit is not None and detail.limit.place is not None:
            yield _held_back(detail.limit)
        case "scheduled":
            yield "It is scheduled for later.", ()
        case "limbo":
            yield f"It is in limbo: {_TAKEN}", (_put_back(detail),)
        case "queued" if detail.places and row is None:
            yield f"It counts as queued and is in no queue: {_TAKEN}", (_put_back(detail),)
        case _ if row is not None:
            yield _not_rung()
        case _ if not detail.places:
            yield (
                "It is in no list and no registry: it was lost after it had been taken off its queue.",
                (_put_back(detail),),
            )


def _waits_in_line(detail: JobDetail) -> bool:
    return any(place.startswith("queued on ") for place in detail.places)


def _is_too_long_to_search(queue: str, snapshot: Snapshot) -> bool:
    return any(each.name == queue and each.waiting > _SEARCHED for each in snapshot.queues.value or ())


def _put_back(detail: JobDetail) -> Cure:
    return Cure(label="put it back", action="repair-redis", targets=(detail.job_id,))


def _ready(detail: JobDetail) -> Reason:
    words = (
        "What it waited for has succeeded, and it is not queued yet. Unless that was a moment ago, whoever was to "
        "queue it has ended"
    )
    if not detail.places:
        return f"{words}, and no registry holds it.", (_put_back(detail),)
    again = Cure(label="queue it now", action="requeue", targets=(detail.job_id,))
    return f"{words}.", (_QUEUED_LATER, again)


def _held_back(limit: RateLimit) -> Reason:
    before = limit.place - 1 if limit.place else 0
    line = f"{before:,} of {limit.held_back:,} held back come before it."
    if not limit.most:
        lost = (
            "Redis no longer says how many of its jobs may run: RQ lets one through when another is queued."
        )
        return f"The rate limit {limit.key} holds it back. {lost} {line}", ()
    words = (
        f"The rate limit {limit.key} holds it back: at most {limit.most:,} of its jobs may be queued or running at a "
        f"time, and {_let_through(limit)}. {line}"
    )
    ended = [job_id for job_id, status, _ in limit.first if status not in _LET_THROUGH]
    if ended:
        return f"{words} {', '.join(ended)} ended and did not make room.", (_CLEANED_UP,)
    return words, (_CLEANED_UP,) if limit.let_through < limit.most else ()


def _let_through(limit: RateLimit) -> str:
    first = ", ".join(
        f"{job_id} ({status} on {queue})" if status else f"{job_id} (no record)"
        for job_id, status, queue in limit.first
    )
    more = ", …" if limit.let_through > len(limit.first) else ""
    return f"{limit.let_through:,} {'is' if limit.let_through == 1 else 'are'}" + (
        f": {first}{more}" if first else ""
    )


def _not_rung() -> Reason:
    return (
        "It waits in the database and is not in a queue of Redis.",
        (
            Cure(
                label="ring again now",
                action="rering",
                safe=True,
                automatic="the scheduler rings again within a tick, a minute at most",
            ),
        ),
    )


def _in_words(row: StoryJobRow) -> dict[str, str]:
    said = {
        "state": row.state,
        "attempt": f"{row.attempt} of {row.max_attempts}",
        "due": f"{row.due_at:%Y-%m-%d %H:%M:%S} UTC",
        "worth sending until": f"{row.send_until:%Y-%m-%d %H:%M:%S} UTC",
        "subscriber": f"{row.email}, {row.subscriber}",
        "held by": row.holder,
        "step": row.step,
        "error": row.error,
        "delivery": f"{row.delivery_id}, {row.delivery_state}" if row.delivery_id else "",
    }
    return {name: words for name, words in said.items() if words}
