"""Redis: does it answer, and can it be trusted with a queue?"""

from __future__ import annotations

from collections.abc import Iterator

from fixionmail.ops.audit_findings import set_aside
from fixionmail.ops.checks.scene import SKEW_SECONDS, Scene, many, span
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.ops.views.redis import RedisView
from fixionmail.processes.keeper import RUNNING

_FULL = 0.9
_SLOW_SECONDS = 1.0
_START = Cure(label="start the local Redis", action="start-redis", targets=("redis",))
_RESTART = Cure(label="restart the local Redis", action="restart-process", targets=("redis",))
_CLI = 'redis-cli -u "$REDIS_URL"'
_COMES_BACK = Cure(
    label="wait for it", automatic="the loops use it again by themselves, within a minute of its return"
)
_URL = "correct REDIS_URL, here and where processes run"
_WITHOUT_TLS = (_URL, "REDIS_URL=redis://default:<password>@{place}")
_WITH_TLS = (_URL, "REDIS_URL=rediss://default:<password>@{place}")
_A_REDIS = (
    "name a Redis, if what listens there is none",
    "REDIS_URL=redis://default:<password>@<host>:<port>/0",
)
_ANOTHER = (_URL, _A_REDIS[1])
_NO_SCRIPTS = ("name a server that runs scripts", "REDIS_URL=<another>")
_NO_RIGHT = (
    "let the user of REDIS_URL do all that queues need",
    "redis-cli ACL SETUSER <user> '~*' '&*' +@all",
)
_HERE = ("127.", "localhost", "[::1]", "/")
_TITLES = {
    # kind -> what is wrong, before where
    "redis-refused": "No Redis runs at",
    "redis-silent": "No answer from Redis at",
    "redis-password": "Redis refuses our password at",
    "redis-tls": "Wrong kind of REDIS_URL for",
    "redis-stranger": "Another kind of server answers at",
    "redis-forbidden": "Redis lets us do too little at",
}
_REASONS = (
    # what the error says -> kind, drill, the cures outside: of each its label and its command
    ("connection is refused", "redis-refused", 1, ()),
    ("does not answer in time. a server without tls", "redis-silent", 2, (_WITHOUT_TLS,)),
    ("does not answer in time", "redis-silent", 2, ()),
    ("refuses the user or password", "redis-password", 3, (_WITHOUT_TLS,)),
    ("asks for a password", "redis-password", 3, (_WITHOUT_TLS,)),
    ("with tls is reached with", "redis-tls", 3, (_WITH_TLS, _A_REDIS)),
    ("without tls is reached with", "redis-tls", 3, (_WITHOUT_TLS, _A_REDIS)),
    ("does not answer as a redis", "redis-stranger", 3, (_ANOTHER,)),
    ("forbids", "redis-forbidden", 3, (_NO_SCRIPTS,)),
    ("does not permit", "redis-forbidden", 3, (_NO_RIGHT,)),
)


def check(scene: Scene) -> Iterator[Finding]:
    """Everything about the server itself."""
    if scene.now.redis.error:
        yield _unreachable(scene, scene.now.redis.error)
    if scene.redis is not None:
        yield from _fitness(scene.redis)
        yield from _switches(scene, scene.redis)


def _unreachable(scene: Scene, error: str) -> Finding:
    lowered = error.lower()
    kind, drill, outside = next(
        ((kind, drill, outside) for words, kind, drill, outside in _REASONS if words in lowered),
        ("redis-unreachable", 2, ()),
    )
    took_over = scene.mode == "fallback"
    since = scene.now.mode.value.since if took_over and scene.now.mode.value else None
    return Finding(
        kind=kind,
        harm=Harm.RISK if took_over or not scene.ours else Harm.LATE,
        title=f"{_TITLES.get(kind, 'Redis cannot be reached at')} {scene.now.target.redis}",
        cause=error + (" Fallback took over: the loops do the work themselves." if took_over else ""),
        evidence=(f"fallback since {since:%H:%M:%S} UTC",) if since else (),
        subjects=(scene.now.target.redis,),
        since=since,
        cures=_cures(scene, kind, outside),
        drill=drill,
    )


def _cures(scene: Scene, kind: str, outside: tuple[tuple[str, str], ...]) -> tuple[Cure, ...]:
    """Where the setting is wrong, no server that is started helps; a local one helps where a local one is named."""
    place = scene.now.target.redis
    if outside:
        return tuple(Cure(label=label, command=command.format(place=place)) for label, command in outside)
    runs_here = scene.machine and any(
        process.kind == "redis" and process.state == RUNNING for process in scene.machine.processes
    )
    if runs_here and kind == "redis-silent":
        return (_COMES_BACK, _RESTART)
    return (_COMES_BACK, _START) if place.startswith(_HERE) else (_COMES_BACK,)


def _fitness(redis: RedisView) -> Iterator[Finding]:
    yield from _policy(redis)
    yield from _role(redis)
    yield from _room(redis)
    if abs(redis.clock_skew_seconds) > SKEW_SECONDS:
        yield skew("Redis", redis.clock_skew_seconds)
    yield from _pace(redis)


def _policy(redis: RedisView) -> Iterator[Finding]:
    if redis.eviction_policy not in ("", "noeviction"):
        yield Finding(
            kind="eviction-policy",
            harm=Harm.RISK,
            title="Redis may drop queue keys when it is full",
            cause=f"maxmemory-policy is {redis.eviction_policy}. A queue needs noeviction: a full Redis then refuses "
            "new jobs, which the database remembers, instead of forgetting old ones.",
            evidence=(_memory(redis),),
            subjects=(redis.eviction_policy,),
            cures=(
                Cure(
                    label="set it to noeviction",
                    action="repair-redis",
                    targets=("maxmemory-policy",),
                    command=f"{_CLI} CONFIG SET maxmemory-policy noeviction",
                ),
            ),
            drill=4,
        )


def _role(redis: RedisView) -> Iterator[Finding]:
    if redis.role in ("slave", "replica"):
        yield Finding(
            kind="redis-read-only",
            harm=Harm.LATE,
            title="Redis is a replica and takes no jobs",
            cause="REDIS_URL names a copy that can only be read, or the server lost its place to another one.",
            evidence=(f"role {redis.role}",),
            cures=(Cure(label="name the primary", command="REDIS_URL=<the primary>"), _COMES_BACK),
            drill=2,
        )


def _room(redis: RedisView) -> Iterator[Finding]:
    if redis.max_memory and redis.used_memory >= _FULL * redis.max_memory:
        full = redis.used_memory >= redis.max_memory
        yield Finding(
            kind="redis-full",
            harm=Harm.LATE if full else Harm.RISK,
            title="Redis is full" if full else "Redis is nearly full",
            cause="It refuses new jobs when its memory is used up; the loops then do the work themselves (fallback).",
            evidence=(_memory(redis),),
            cures=(
                Cure(
                    label="give it more memory",
                    command=f"{_CLI} CONFIG SET maxmemory {2 * redis.max_memory // 2**20 or 2}mb",
                ),
                _COMES_BACK,
            ),
            drill=2,
        )


def _pace(redis: RedisView) -> Iterator[Finding]:
    if redis.round_trip_seconds > _SLOW_SECONDS:
        yield Finding(
            kind="redis-slow",
            harm=Harm.RISK,
            title=f"Redis takes {redis.round_trip_seconds:.1f} s to answer",
            cause="It is far away, overloaded, or something holds it up.",
            evidence=(f"{redis.commands_per_second:,} commands a second, {redis.clients:,} clients",),
            cures=(Cure(label="see what holds it up", command=f"{_CLI} SLOWLOG GET 10"),),
            drill=2,
        )


def _switches(scene: Scene, redis: RedisView) -> Iterator[Finding]:
    if redis.suspended:
        waiting = sum(queue.waiting for queue in scene.queues)
        yield Finding(
            kind="workers-suspended",
            harm=Harm.LATE if waiting else Harm.RISK,
            title="All workers are suspended",
            cause="Somebody ran rq suspend: no worker takes a job until they are resumed.",
            evidence=(f"{many(waiting, 'job')} waiting",),
            cures=(Cure(label="resume them", action="resume-workers", command="rq resume"),),
            drill=13,
        )
    if redis.rq_layout == "foreign":
        yield Finding(
            kind="redis-foreign",
            harm=Harm.NOTE,
            title="This Redis holds keys that are not a queue's",
            cause="Somebody else uses it, too: what they do can slow down or empty our queues.",
            evidence=(f"{redis.keys:,} keys",),
        )
    if redis.broken:
        yield Finding(
            kind="redis-broken-keys",
            harm=Harm.RISK,
            title=f"{many(len(redis.broken), 'key')} of the queue cannot be read",
            cause="They hold another type than RQ puts there: something else wrote to them.",
            evidence=redis.broken,
            subjects=redis.broken,
            count=len(redis.broken),
            cures=set_aside(redis.broken),
            drill=28,
        )


def skew(server: str, seconds: float) -> Finding:
    """The finding that a server's clock is apart from ours."""
    return Finding(
        kind="clock-skew",
        harm=Harm.RISK,
        title=f"{server}'s clock is {span(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} ours",
        cause=f"{server} is {'ahead' if seconds > 0 else 'behind'}. Leases and due times are the database's, so "
        "nothing goes out twice; ages shown here are wrong, and stories may go out early or late.",
        evidence=(f"{seconds:+.1f} s",),
        subjects=(server,),
        cures=(Cure(label="set this machine's clock", command="timedatectl set-ntp true"),),
        drill=21,
    )


def _memory(redis: RedisView) -> str:
    limit = f"of {redis.max_memory / 2**20:,.1f} MB" if redis.max_memory else "without a limit"
    return f"{redis.used_memory / 2**20:,.1f} MB used {limit}"
