"""Which Redis serves this deployment: what answers at REDIS_URL, else a local one, supervised like every process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import AuthorizationError, NoPermissionError

from fixionmail.errors import EngineError, FixionMailError, RedisUnreachableError, SettingsError
from fixionmail.processes import redis as local_redis
from fixionmail.processes.keeper import RUNNING
from fixionmail.processes.redis import LocalRedis, Place
from fixionmail.processes.stack import fleet_of
from fixionmail.settings import Settings, masked_url

ANSWER_SECONDS = 3.0
_PERSISTENCE = {1: "append-only file", 0: "none, or snapshots only"}
START_SECONDS = 180.0
"""Docker may have to fetch its image first."""


@dataclass(frozen=True, kw_only=True)
class RedisLook:
    """How Redis stands.

    Attributes:
        url: which one is meant, without its secret; empty when none is named and none runs here.
        answers: whether it serves us.
        trouble: why not.
        engine: its name, version and, for a local one, where it came from.
        persistence, policy: whether it keeps what it is told over a restart, and what it drops when it is full; empty
            when it does not say.
        pid: of this home's own Redis, when that runs.
        folder: where that keeps its data.
    """

    url: str
    answers: bool
    trouble: str = ""
    engine: str = ""
    persistence: str = ""
    policy: str = ""
    pid: int | None = None
    folder: str = ""


def look_at_redis(settings: Settings) -> RedisLook:
    """Look at the Redis that is named, or at this home's own one. Writes nothing."""
    here = local_redis.about(settings.home)
    own: dict[str, Any] = {"pid": here.pid, "folder": str(settings.home / "redis")} if here else {}
    url = settings.redis_url.get_secret_value() if settings.redis_url else here.url if here else None
    if url is None:
        return RedisLook(url="", answers=False, trouble="REDIS_URL is not set, and no local Redis runs")
    try:
        said = _asked(url)
    except FixionMailError as error:
        return RedisLook(url=masked_url(url), answers=False, trouble=str(error), **own)
    return RedisLook(
        url=masked_url(url),
        answers=True,
        engine=here.engine if here and here.url == url else _name(said),
        persistence=_PERSISTENCE.get(said.get("aof_enabled", -1), ""),
        policy=str(said.get("maxmemory_policy", "")),
        **own,
    )


def start_local_redis(settings: Settings) -> str:
    """See to it that there is a Redis, and say in words which: the named one if it answers, else a local one.

    A local one listens where REDIS_URL says when that names this machine, asks for the password that is in it, and is
    supervised from then on: it outlives us and is started again when it dies.

    Raises:
        SettingsError: REDIS_URL has a wrong password, or says what no local Redis can be.
        EngineError: it cannot be started: the port is taken, there is no program, …
    """
    url = settings.redis_url.get_secret_value() if settings.redis_url else None
    away = ""
    if url is not None:
        try:
            return f"{_name(_asked(url))} answers at {masked_url(url)}: it is used, nothing was started."
        except RedisUnreachableError as error:
            away = str(error)
    place = local_redis.place_of(url) if url else None
    ran_before = local_redis.running_url(settings.home) is not None
    if place and not ran_before:
        local_redis.check_port_free(place.port)
    _supervise(settings)
    here = local_redis.about(settings.home)
    if here is None:
        raise EngineError(
            f"The local Redis died as soon as it was up; see {settings.home / 'redis'}/server.log."
        )
    if place and url:
        _require_place(settings, here, url, place)
    runs = "runs already" if ran_before else "was started"
    facts = (
        f"{here.engine} {runs} on port {here.port} of 127.0.0.1 (process {here.pid}). It keeps an append-only file in "
        f"{settings.home / 'redis' / 'data'} and drops nothing."
    )
    return " ".join(filter(None, (facts, _how_it_is_used(settings, away, is_named=place is not None))))


def stop_local_redis(settings: Settings) -> str:
    """Stop this home's Redis, whoever uses it, and say so in words; its data stays.

    Raises:
        EngineError: it does not end.
    """
    ran = local_redis.running_url(settings.home) is not None
    fleet = fleet_of(settings)
    if any(look.name == "redis" for look in fleet.look()):
        fleet.settled(fleet.stop("redis"))
    local_redis.stop(settings.home)
    if not ran:
        return "No local Redis runs here."
    return f"The local Redis was stopped. Its data stays in {settings.home / 'redis' / 'data'}."


def _supervise(settings: Settings) -> None:
    fleet = fleet_of(settings)
    looks = fleet.settled(fleet.start("redis"), seconds=START_SECONDS)
    if looks[0].state != RUNNING:
        fleet.stop("redis")
        raise EngineError(looks[0].last_end or "The local Redis does not start.")


def _require_place(settings: Settings, here: LocalRedis, url: str, place: Place) -> None:
    if here.port != place.port:
        raise EngineError(
            f"The local Redis of {settings.home} already runs on port {here.port}, and REDIS_URL says {place.port}: "
            "stop it first with fixionmail redis down, or change REDIS_URL."
        )
    _asked(url)


def _how_it_is_used(settings: Settings, away: str, *, is_named: bool) -> str:
    if settings.enable_redis_queue is False:
        return "ENABLE_REDIS_QUEUE is false: nothing uses it until that is changed."
    if is_named:
        return (
            f"It is where REDIS_URL says: queue mode takes over within {settings.check_interval_seconds:g} s."
        )
    if away:
        return f"{away} Processes use the local one when they are started without REDIS_URL."
    return (
        f"Queue mode takes over within {settings.check_interval_seconds:g} s of a worker's start: "
        "fixionmail processes start worker."
    )


def _asked(url: str) -> dict[str, Any]:
    """What the Redis at ``url`` says of itself, if anything.

    Raises:
        SettingsError: it refuses the password.
        RedisUnreachableError: it does not answer.
    """
    shown = masked_url(url)
    try:
        with local_redis.asking(url, ANSWER_SECONDS) as connection:
            return dict(connection.info())
    except (redis.AuthenticationError, AuthorizationError) as error:
        raise SettingsError(
            f"REDIS_URL has a wrong user or password: {shown} answers {str(error)!r}. Correct it there."
        ) from None
    except NoPermissionError:
        return {}  # it serves us; what it is, it does not say
    except redis.RedisError as error:
        raise RedisUnreachableError(f"{shown} does not answer: {str(error).rstrip('.')}.") from None


def _name(said: dict[str, Any]) -> str:
    if "valkey_version" in said:
        return f"Valkey {said['valkey_version']}"
    return f"Redis {said.get('redis_version', '')}".strip()
