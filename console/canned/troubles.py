"""What is wrong in the pretended deployment, as the checks would name it."""

from __future__ import annotations

from datetime import datetime, timedelta

from console.canned.clockwork import job_id
from console.canned.world import World
from fixionmail.ops.views.findings import Cure, Finding, Harm

DEAD_JOB = job_id(3_003)


def findings(world: World, now: datetime) -> tuple[Finding, ...]:
    """What is wrong at ``now``, worst first; nothing in good times."""
    if not world.troubled:
        return ()
    candidates = (
        _uncertain(world, now) if len(world.settled) < 3 else None,
        _dead_worker(now) if "w-3" not in world.cured else None,
        _unserved(now) if "imports" not in world.cured else None,
        _policy() if "policy" not in world.cured else None,
        _overloaded(now),
    )
    return tuple(finding for finding in candidates if finding is not None)


def _uncertain(world: World, now: datetime) -> Finding:
    ids = tuple(job_id(number) for number in (9_001, 9_002, 9_003) if job_id(number) not in world.settled)
    return Finding(
        kind="delivery-uncertain",
        harm=Harm.TWICE,
        title=f"{len(ids)} mails may or may not have gone out",
        cause="The mail provider did not answer before the idempotency key ran out. Sending again could mail twice.",
        evidence=(
            "batch 0198c2: POST timed out after 30 s, seven times since 05:12",
            "anna.k@example.org, chen.w@example.org, dora@example.org",
        ),
        subjects=ids,
        count=len(ids),
        since=now - timedelta(hours=1, minutes=12),
        cures=(
            Cure(
                label="ask the provider what became of them",
                action="resolve-delivery",
                targets=ids,
                safe=True,
            ),
            Cure(label="record them as not sent", action="cancel-delivery", targets=ids),
        ),
        drill=14,
    )


def _dead_worker(now: datetime) -> Finding:
    return Finding(
        kind="worker-died",
        harm=Harm.LATE,
        title="worker fixionmail-w-3 died with 1 job in hand",
        cause="It last spoke 6 min 52 s ago; a busy worker speaks every 30 s. Its job's lease has lapsed.",
        evidence=("host railway-c91e, pid 4121", f"job {DEAD_JOB} on stories, step draft, 38 %"),
        subjects=("fixionmail-w-3",),
        since=now - timedelta(seconds=412),
        cures=(
            Cure(
                label="requeue its job",
                action="requeue",
                targets=(DEAD_JOB,),
                safe=True,
                automatic="by the next sweep, within a minute",
            ),
            Cure(label="start a worker", action="start-process", targets=("worker",)),
        ),
        drill=7,
    )


def _unserved(now: datetime) -> Finding:
    return Finding(
        kind="queue-unserved",
        harm=Harm.LATE,
        title="nobody works on queue imports",
        cause="40 jobs wait there and no worker listens to it.",
        evidence=("oldest has waited 12 min 20 s",),
        subjects=("imports",),
        count=40,
        since=now - timedelta(seconds=740),
        cures=(
            Cure(
                label="start a worker on imports",
                action="start-process",
                targets=("worker:imports",),
                safe=True,
            ),
        ),
        drill=6,
    )


def _overloaded(now: datetime) -> Finding:
    return Finding(
        kind="provider-overloaded",
        harm=Harm.COST,
        title="the story provider is overloaded",
        cause="9 attempts in the last 10 minutes were answered with 529; they are tried again with growing pauses.",
        evidence=("9 x ProviderOverloaded: 529 overloaded_error",),
        subjects=("anthropic",),
        count=9,
        since=now - timedelta(minutes=9),
        cures=(Cure(label="wait", automatic="each attempt is repeated with backoff"),),
        drill=23,
    )


def _policy() -> Finding:
    return Finding(
        kind="eviction-policy",
        harm=Harm.RISK,
        title="Redis may drop queue keys when its memory is full",
        cause="maxmemory-policy is allkeys-lru. A queue needs noeviction: then a full Redis refuses instead.",
        evidence=("used 52 MB of 256 MB",),
        subjects=("allkeys-lru",),
        cures=(
            Cure(
                label="set it to noeviction",
                command="redis-cli CONFIG SET maxmemory-policy noeviction",
            ),
        ),
        drill=4,
    )
