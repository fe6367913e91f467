"""What is wrong in the pretended deployment, as the checks would name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from console.canned.clockwork import job_id
from console.canned.rows import address_of
from console.canned.world import World
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.ops.views.snapshot import Snapshot

DEAD_JOB = job_id(3_003)
POLICY = "maxmemory-policy"

_WARNINGS = {
    "requeue": (
        "1 of these had begun before: what they did then, they may do again.",
        "Stories and mails are safe: the database lets none be written or sent a second time.",
    ),
    "retry-delivery": ("1 of these may have gone out already.",),
    "resolve-not-sent": (
        "Whatever did go out after all reaches its subscriber a second time once it is retried.",
    ),
}


def warnings(action: str) -> tuple[str, ...]:
    """What is said before an action."""
    return _WARNINGS.get(action, ())


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


def checks(seen: Snapshot, found: Sequence[Finding], deep: bool) -> Iterator[tuple[str, str]]:
    """The doctor's checks with what each says."""
    yield "settings", "all can be read"
    redis, database = seen.redis.value, seen.database.value
    assert redis
    assert database
    yield (
        "redis",
        (
            f"{redis.flavour} {redis.version} at {seen.target.redis}, {redis.round_trip_seconds * 1000:.1f} ms, "
            f"{redis.eviction_policy}, {redis.persistence} persistence"
        ),
    )
    yield (
        "database",
        (
            f"Postgres {database.version} at {seen.target.database}, {database.round_trip_seconds * 1000:.1f} ms, "
            f"{database.subscribers:,} subscribers"
        ),
    )
    yield "conditions", f"{len(found)} found" if found else "nothing found"
    if deep:
        yield "second mails", "the last 7 days"
        yield "entries of Redis", "all agree"
    yield "machine", "nothing found"
    if deep:
        local = "the local outbox: no mail leaves this machine"
        yield "mail provider", "takes the key" if seen.target.remote else local
        yield "story provider", "anthropic"
    yield "encryption", "nothing found"


def _uncertain(world: World, now: datetime) -> Finding:
    ids = tuple(job_id(number) for number in (9_001, 9_002, 9_003) if job_id(number) not in world.settled)
    return Finding(
        kind="delivery-uncertain",
        harm=Harm.LOST,
        title=f"{len(ids)} mails may or may not have gone out",
        cause="The provider gave no definite answer before the idempotency key ran out, or has sent another mail "
        "under it, as after a restored backup. Sending again could mail twice, so nothing is sent until somebody "
        "has looked.",
        evidence=tuple(f"{address_of(one)}: no answer within 30 s, key expired" for one in ids),
        subjects=ids,
        count=len(ids),
        since=now - timedelta(hours=1, minutes=12),
        cures=(
            Cure(
                label="ask the provider, and record what it says",
                action="resolve-delivery",
                targets=ids,
            ),
            Cure(label="record as not sent, if you know", action="resolve-not-sent", targets=ids),
        ),
        drill=14,
    )


def _dead_worker(now: datetime) -> Finding:
    return Finding(
        kind="worker-died",
        harm=Harm.LATE,
        title="Worker fixionmail-w-3 died with 1 job in hand",
        cause="It last spoke up 6 min 52 s ago. A busy worker speaks up every half minute.",
        evidence=("host railway-c91e, pid 4121", f"job {DEAD_JOB} on stories, step draft, 38 %"),
        subjects=("fixionmail-w-3",),
        since=now - timedelta(seconds=412),
        cures=(
            Cure(
                label="queue its jobs again",
                action="requeue",
                targets=(DEAD_JOB,),
                safe=True,
                automatic="when their lease ends, a minute or two after the death",
            ),
            Cure(label="start a worker", action="start-process", targets=("worker",)),
        ),
        drill=7,
    )


def _unserved(now: datetime) -> Finding:
    return Finding(
        kind="queue-unserved",
        harm=Harm.LATE,
        title="Nobody works on queue imports",
        cause="40 jobs wait there and no live worker listens to it.",
        evidence=("the oldest was queued 12 min 20 s ago",),
        subjects=("imports",),
        count=40,
        since=now - timedelta(seconds=740),
        cures=(Cure(label="start a worker", action="start-process", targets=("worker:imports",)),),
        drill=6,
    )


def _overloaded(now: datetime) -> Finding:
    return Finding(
        kind="story-provider",
        harm=Harm.COST,
        title="9 stories failed: Anthropic answered 529: Overloaded",
        cause="Anthropic answered 529: Overloaded",
        evidence=("9 of the last day, the latest 1 min ago",),
        subjects=("Anthropic answered 529: Overloaded",),
        count=9,
        since=now - timedelta(minutes=1),
        cures=(
            Cure(label="wait", automatic="each job is tried again with growing pauses, up to eight times"),
        ),
        drill=23,
    )


def _policy() -> Finding:
    return Finding(
        kind="eviction-policy",
        harm=Harm.RISK,
        title="Redis may drop queue keys when it is full",
        cause="maxmemory-policy is allkeys-lru. A queue needs noeviction: a full Redis then refuses new jobs, "
        "which the database remembers, instead of forgetting old ones.",
        evidence=("used 52 MB of 256 MB",),
        subjects=("allkeys-lru",),
        cures=(
            Cure(
                label="set it to noeviction",
                action="repair-redis",
                targets=(POLICY,),
                command=f'redis-cli -u "$REDIS_URL" CONFIG SET {POLICY} noeviction',
            ),
        ),
        drill=4,
    )
