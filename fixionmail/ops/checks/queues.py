"""Queues: is somebody there to work, does the work move, and has it got lost on its way?"""

from __future__ import annotations

from collections.abc import Iterator

from fixionmail.jobs.names import QUEUES, STORIES
from fixionmail.ops.checks.scene import (
    LOST_AFTER,
    STALLED_AFTER,
    START_WORKER,
    UNRUNG_AFTER,
    Scene,
    many,
)
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.ops.views.redis import QueueView, WorkerHealth


def check(scene: Scene) -> Iterator[Finding]:
    """Everything about queues as such."""
    for queue in scene.queues:
        yield from _paused(scene, queue)
        yield from _unserved(scene, queue)
        yield from _stands_still(scene, queue)
        yield from _limbo(scene, queue)
    yield from _flushed(scene)


def _paused(scene: Scene, queue: QueueView) -> Iterator[Finding]:
    if queue.paused is not None:
        pause = queue.paused
        yield Finding(
            kind="queue-paused",
            harm=Harm.LATE if queue.waiting else Harm.RISK,
            title=f"Queue {queue.name} is paused",
            cause=f"{pause.by or 'Somebody'} paused it{f': {pause.reason}' if pause.reason else ''}.",
            evidence=(
                f"{many(queue.waiting, 'job')} waiting",
                *((f"since {pause.since:%Y-%m-%d %H:%M:%S} UTC",) if pause.since else ()),
            ),
            subjects=(queue.name,),
            count=queue.waiting or 1,
            since=pause.since,
            cures=(Cure(label="resume it", action="resume-queue", targets=(queue.name,)),),
            drill=13,
        )


def _unserved(scene: Scene, queue: QueueView) -> Iterator[Finding]:
    counted = (worker for worker in scene.workers if worker.health is not WorkerHealth.DEAD)
    gone = sum(queue.name in worker.queues and scene.is_gone(worker) for worker in counted)
    needed = scene.ours and scene.mode == "queue" and queue.name in QUEUES and not scene.has_workers()
    if queue.workers > gone or not (queue.waiting or needed):
        return
    worker = START_WORKER if scene.ours and queue.name in QUEUES else None
    yield Finding(
        kind="queue-unserved",
        harm=Harm.LATE if queue.waiting else Harm.RISK,
        title=f"Nobody works on queue {queue.name}",
        cause=f"{many(queue.waiting, 'job')} wait{'s' if queue.waiting == 1 else ''} there and no live worker listens "
        "to it.",
        evidence=(f"the oldest was queued {scene.ago(queue.oldest_waiting_at)}",) if queue.waiting else (),
        subjects=(queue.name,),
        count=queue.waiting or 1,
        since=queue.oldest_waiting_at,
        cures=(worker,) if worker else (Cure(label="start one", command=f"rq worker {queue.name}"),),
        drill=6,
    )


def _stands_still(scene: Scene, queue: QueueView) -> Iterator[Finding]:
    """The same job has been at the head for a while, although somebody has a hand free."""
    earlier = scene.before
    was = next((q for q in (earlier.queues.value or ()) if q.name == queue.name), None) if earlier else None
    if was is None or not queue.head_id or was.head_id != queue.head_id or queue.paused:
        return
    if (scene.redis and scene.redis.suspended) or not scene.older(queue.oldest_waiting_at, STALLED_AFTER):
        return
    free = [
        w.name for w in scene.workers if queue.name in w.queues and w.health == "ok" and w.running < w.slots
    ]
    if free:
        yield Finding(
            kind="queue-stands-still",
            harm=Harm.LATE,
            title=f"Queue {queue.name} stands still though workers are free",
            cause="The job at its head was not taken between two looks: the workers hang, or cannot read it.",
            evidence=(
                f"head {queue.head_id}, queued {scene.ago(queue.oldest_waiting_at)}",
                f"free: {free[0]}",
            ),
            subjects=(queue.name,),
            count=queue.waiting,
            since=queue.oldest_waiting_at,
            cures=(
                Cure(label="restart the workers", action="restart-process", targets=("worker",)),
                Cure(label="take the head out of the queue", action="cancel", targets=(queue.head_id,)),
            ),
            drill=6,
        )


def _limbo(scene: Scene, queue: QueueView) -> Iterator[Finding]:
    if queue.limbo and not (queue.oldest_limbo_at and not scene.older(queue.oldest_limbo_at, LOST_AFTER)):
        yield Finding(
            kind="job-lost",
            harm=Harm.LOST,
            title=f"{many(queue.limbo, 'job')} got lost before the start",
            cause="A worker took them off the queue and ended before it had started them: they are in RQ's "
            "intermediate list, which no worker reads.",
            evidence=(f"{queue.name}:intermediate, the oldest {scene.ago(queue.oldest_limbo_at)}",),
            subjects=(queue.name,),
            count=queue.limbo,
            since=queue.oldest_limbo_at,
            cures=(
                Cure(label="put them back", action="repair-redis", targets=(queue.name,)),
                *((_RING,) if scene.ours and queue.name in QUEUES else ()),
            ),
            drill=9,
        )


_RING = Cure(
    label="ring again now",
    action="rering",
    safe=True,
    automatic="the scheduler rings again within a tick, a minute at most",
)


def _flushed(scene: Scene) -> Iterator[Finding]:
    """Jobs that the database announced and Redis does not have: it was emptied, or lost its last writes."""
    queue, deliveries = scene.queue(STORIES), scene.deliveries
    if queue is None or deliveries is None or scene.mode == "fallback":
        return
    held = queue.waiting + queue.running + queue.scheduled + queue.deferred + queue.limbo
    missing = deliveries.rung - held
    if missing > 0 and scene.older(deliveries.oldest_job_at, UNRUNG_AFTER):
        yield Finding(
            kind="queue-flushed",
            harm=Harm.LATE,
            title=f"{many(missing, 'story job')} missing from Redis",
            cause="They wait in Postgres and Redis has lost them: it was flushed, came back without its data, or a "
            "worker of RQ's own took them off the queue and died. Nothing is lost for good, Postgres is the truth.",
            evidence=(
                f"Postgres: {deliveries.rung:,} announced; Redis: {held:,} in queue {STORIES}",
                f"the oldest was planned {scene.ago(deliveries.oldest_job_at)}",
            ),
            subjects=(STORIES,),
            count=missing,
            since=deliveries.oldest_job_at,
            cures=(_RING,),
            drill=5,
        )
