"""What can go wrong, each as a function that does it for real and returns how to end it, with when."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
import psycopg
from redis.exceptions import RedisError

from tests.chaos.deployment import API_KEY, RATE_LIMIT, Deployment
from tests.standins.faults import Fault

Cure = Callable[[], None]


@dataclass(frozen=True)
class Hurt:
    """A fault under way. ``cure`` ends it after ``seconds``."""

    name: str
    seconds: float = 0.0
    cure: Cure = lambda: None


def _signal(process: psutil.Process | None, number: signal.Signals) -> None:
    with suppress(psutil.Error):
        if process is not None:
            process.send_signal(number)


def kill_process(deployment: Deployment, dice: random.Random) -> Hurt:
    """SIGKILL to one of ours."""
    service = dice.choice(deployment.services)
    if service.process is not None and service.process.poll() is None:
        service.process.kill()
    return Hurt(f"kill -9 {service.kind}")


def pause_process(deployment: Deployment, dice: random.Random) -> Hurt:
    """SIGSTOP, often beyond its leases, then SIGCONT."""
    service = dice.choice(deployment.services)
    process, seconds = service.process, dice.choice([1.0, 5.0, 35.0, 70.0])

    def resume() -> None:
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)

    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGSTOP)
    return Hurt(f"stop and continue {service.kind}", seconds, resume)


def terminate_process(deployment: Deployment, dice: random.Random) -> Hurt:
    """SIGTERM, as a deploy does."""
    service = dice.choice(deployment.services)
    if service.process is not None and service.process.poll() is None:
        service.process.terminate()
    return Hurt(f"SIGTERM {service.kind}")


def flush_redis(deployment: Deployment, dice: random.Random) -> Hurt:
    """FLUSHALL."""
    with suppress(RedisError), deployment.redis() as client:
        client.flushall()
    return Hurt("flush Redis")


def kill_redis(deployment: Deployment, dice: random.Random) -> Hurt:
    """SIGKILL, and again up some seconds later."""
    _signal(deployment.redis_process(), signal.SIGKILL)
    return Hurt("kill -9 Redis", dice.uniform(1, 6), deployment.revive_redis)


def hang_redis(deployment: Deployment, dice: random.Random) -> Hurt:
    """A Redis that accepts and says nothing."""
    process = deployment.redis_process()
    _signal(process, signal.SIGSTOP)
    return Hurt("hang Redis", dice.uniform(2, 8), lambda: _signal(process, signal.SIGCONT))


def fill_redis(deployment: Deployment, dice: random.Random) -> Hurt:
    """Out of memory: writes are refused."""

    def allow(limit: str) -> None:
        with suppress(RedisError), deployment.redis() as client:
            client.config_set("maxmemory", limit)

    allow("1")
    return Hurt("Redis out of memory", dice.uniform(2, 6), lambda: allow("0"))


def kill_postgres(deployment: Deployment, dice: random.Random) -> Hurt:
    """SIGKILL to the postmaster, and again up some seconds later."""
    _signal(deployment.postgres(), signal.SIGKILL)
    return Hurt("kill -9 Postgres", dice.uniform(1, 6), deployment.revive_postgres)


def cut_postgres(deployment: Deployment, dice: random.Random) -> Hurt:
    """Every session ends at once, as in a fail-over."""
    with suppress(psycopg.Error), psycopg.connect(deployment.database_url, connect_timeout=2) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
    return Hurt("cut all Postgres sessions")


def hang_postgres(deployment: Deployment, dice: random.Random) -> Hurt:
    """A Postgres that accepts and says nothing."""
    postmaster = deployment.postgres()
    with suppress(psutil.Error):
        processes = [postmaster, *postmaster.children(recursive=True)] if postmaster else []
    for process in processes:
        _signal(process, signal.SIGSTOP)

    def resume() -> None:
        for process in processes:
            _signal(process, signal.SIGCONT)

    return Hurt("hang Postgres", dice.uniform(2, 6), resume)


def make_redis_read_only(deployment: Deployment, dice: random.Random) -> Hurt:
    """A replica of a master that is away, as in the middle of a fail-over."""

    def follow(host: str, port: str) -> None:
        with suppress(RedisError), deployment.redis() as client:
            client.replicaof(host, port)

    follow("127.0.0.1", "1")
    return Hurt("Redis read-only", dice.uniform(2, 6), lambda: follow("NO", "ONE"))


def provider_fault(deployment: Deployment, dice: random.Random) -> Hurt:
    """The provider loses, delays, cuts or refuses some answers."""
    fault = dice.choice(list(Fault))
    status = dice.choice([500, 502, 503])
    deployment.provider.faults.add(fault, match="POST", times=dice.randint(1, 5), seconds=3.0, status=status)
    return Hurt(f"provider: {fault.value}", dice.uniform(1, 5), deployment.provider.faults.clear)


def throttle_provider(deployment: Deployment, dice: random.Random) -> Hurt:
    """A lower limit, and answers 429 beyond it."""
    deployment.provider.rate.limit = 3

    def restore() -> None:
        deployment.provider.rate.limit = RATE_LIMIT

    return Hurt("provider: rate limit 3/s", dice.uniform(2, 6), restore)


def use_up_quota(deployment: Deployment, dice: random.Random) -> Hurt:
    """No more mail today; the provider says when to ask again."""
    quotas = deployment.provider.quotas
    quotas.daily, quotas.retry_after = 0, 5

    def restore() -> None:
        quotas.daily = None

    return Hurt("provider: daily quota used up", dice.uniform(2, 6), restore)


def refuse_key(deployment: Deployment, dice: random.Random) -> Hurt:
    """Our key is not known for a while: the line stands still for a minute."""
    deployment.provider.api_key = "re_another"

    def restore() -> None:
        deployment.provider.api_key = API_KEY

    return Hurt("provider: refuses the key", dice.uniform(1, 3), restore)


Strike = Callable[[Deployment, random.Random], Hurt]

USUAL: tuple[Strike, ...] = (
    kill_process, kill_process, kill_process, pause_process, pause_process, terminate_process, flush_redis,
    kill_redis, hang_redis, fill_redis, make_redis_read_only, kill_postgres, cut_postgres, hang_postgres,
    provider_fault, provider_fault, provider_fault, provider_fault, throttle_provider, use_up_quota,
)  # fmt: skip
"""One of these strikes at a time, chosen by the seed; those named twice come twice as often."""
RARE: tuple[Strike, ...] = (refuse_key,)
"""What stops all mail for a minute: once in three."""
RARE_EVERY_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A strike to come: ``at`` seconds from the start; ``seed`` decides on victim and duration."""

    at: float
    strike: Strike
    seed: int


def plan(seed: int, seconds: float) -> list[Planned]:
    """All strikes of a run, decided beforehand: the same seed hurts the same victims at the same moments."""
    dice = random.Random(seed)
    strikes: list[Planned] = []
    at, rare_at = 3.0, dice.uniform(10, RARE_EVERY_SECONDS)
    while at < seconds:
        is_rare = at >= rare_at
        strike = dice.choice(RARE if is_rare else USUAL)
        rare_at += RARE_EVERY_SECONDS if is_rare else 0.0
        strikes.append(Planned(at=at, strike=strike, seed=dice.randrange(2**32)))
        at += dice.uniform(0.4, 1.4)
    return strikes
