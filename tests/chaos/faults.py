"""What can go wrong, each as a function that does it for real and returns how to end it, with when."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
from redis.exceptions import RedisError

from tests.chaos.deployment import Deployment
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


def provider_fault(deployment: Deployment, dice: random.Random) -> Hurt:
    """The provider loses, delays, cuts or refuses some answers."""
    fault = dice.choice([
        Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.TRUNCATED_REPLY, Fault.BAD_STATUS, Fault.BAD_STATUS_AFTER,
        Fault.SLOW_REPLY, Fault.WRONG_COUNT,
    ])  # fmt: skip
    status = dice.choice([500, 502, 503])
    deployment.provider.faults.add(fault, match="POST", times=dice.randint(1, 5), seconds=3.0, status=status)
    return Hurt(f"provider: {fault.value}", dice.uniform(1, 5), deployment.provider.faults.clear)


def throttle_provider(deployment: Deployment, dice: random.Random) -> Hurt:
    """A lower limit, and answers 429 beyond it."""
    deployment.provider.rate.limit = 3

    def restore() -> None:
        deployment.provider.rate.limit = 100

    return Hurt("provider: rate limit 3/s", dice.uniform(2, 6), restore)


ALL = (
    kill_process, kill_process, kill_process, pause_process, pause_process, terminate_process, flush_redis,
    kill_redis, hang_redis, fill_redis, kill_postgres, provider_fault, provider_fault, provider_fault,
    throttle_provider,
)  # fmt: skip
"""One of these strikes at a time, chosen by the seed; those named twice come twice as often."""
