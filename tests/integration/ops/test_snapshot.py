"""The snapshot: both halves at once, each ok or failed with its reason, whatever is dead; and Redis alone."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from pydantic import SecretStr
from redis import Redis

from fixionmail.ops.snapshot import Observer
from fixionmail.ops.target import target_of
from fixionmail.settings import Settings
from tests.integration.worker.servers import RedisServer, free_port

FROM_DATABASE = ("mode", "loops", "processes", "funnel", "deliveries", "database")
FROM_REDIS = ("redis", "queues", "workers")


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg, arg-type]


def test_a_redis_alone_is_looked_at_without_any_database(redis: Redis, server: RedisServer) -> None:
    redis.rpush("rq:queue:reports", "a")
    redis.sadd("rq:queues", "rq:queue:reports")
    observer = Observer(redis_url=server.url)

    seen = observer.look(every_seconds=2)

    assert all(getattr(seen, name).ok for name in FROM_REDIS)
    assert {getattr(seen, name).absent for name in FROM_DATABASE} == {"No database is set."}
    assert [queue.name for queue in seen.queues.value or ()] == ["reports"]
    assert (seen.target.redis, seen.target.database) == (f"127.0.0.1:{server.port}/0", "")
    observer.look()
    assert observer.look(every_seconds=2).cost.commands_per_month == 1_296_000
    observer.close()


def test_both_halves_are_looked_at_with_one_command_and_one_call(
    redis: Redis, server: RedisServer, database_url: str
) -> None:
    observer = Observer(redis_url=server.url, settings=settings(database_url=SecretStr(database_url)))
    observer.look()

    seen = observer.look()

    assert {name: getattr(seen, name).error for name in (*FROM_REDIS, *FROM_DATABASE)} == dict.fromkeys(
        (*FROM_REDIS, *FROM_DATABASE), ""
    )
    assert all(getattr(seen, name).ok for name in (*FROM_REDIS, *FROM_DATABASE))
    assert (seen.cost.redis_commands, seen.cost.database_calls) == (1, 1)
    assert [queue.name for queue in seen.queues.value or ()] == ["emails", "stories"]
    observer.close()


def test_a_dead_database_leaves_redis_to_be_seen(redis: Redis, server: RedisServer) -> None:
    url = f"postgresql://me:pw-of-mine@127.0.0.1:{free_port()}/postgres"
    observer = Observer(redis_url=server.url, settings=settings(database_url=SecretStr(url)))
    began = time.monotonic()

    seen = observer.look()

    assert time.monotonic() - began < 6
    assert seen.redis.ok
    assert all(getattr(seen, name).error for name in FROM_DATABASE)
    assert "pw-of-mine" not in str(seen)
    observer.close()


def test_a_dead_redis_leaves_the_database_to_be_seen(database_url: str) -> None:
    url = f"redis://:pw-of-mine@127.0.0.1:{free_port()}"
    observer = Observer(redis_url=url, settings=settings(database_url=SecretStr(database_url)))

    seen = observer.look()

    assert seen.database.ok
    assert all("refused" in getattr(seen, name).error for name in FROM_REDIS)
    assert "pw-of-mine" not in str(seen)
    observer.close()


def test_without_redis_its_sections_are_absent(database_url: str) -> None:
    observer = Observer(redis_url=None, settings=settings(database_url=SecretStr(database_url)))

    seen = observer.look()

    assert {getattr(seen, name).absent for name in FROM_REDIS} == {"No Redis is used: fallback mode."}
    assert seen.mode.ok
    observer.close()


def test_looking_does_not_start_the_bundled_database(
    redis: Redis, server: RedisServer, tmp_path: object
) -> None:
    observer = Observer(redis_url=server.url, settings=settings(fixionmail_home=tmp_path))

    seen = observer.look()

    assert "Nothing runs in" in seen.database.error
    assert seen.redis.ok
    observer.close()


@pytest.mark.parametrize(
    ("redis_url", "database", "environment", "remote"),
    [
        ("redis://127.0.0.1:6379", "postgresql://me:pw@localhost/x", "local", False),
        ("rediss://:pw@eu1.upstash.io:6379", "postgresql://me:pw@localhost/x", "eu1.upstash.io", True),
        ("unix:///tmp/redis.sock", "postgresql://me:pw@db.supabase.co/postgres", "db.supabase.co", True),
    ],
)
def test_a_target_tells_whether_it_is_on_this_machine(
    redis_url: str, database: str, environment: str, remote: bool
) -> None:
    target = target_of(settings(database_url=SecretStr(database)), redis_url, read_only=True)

    assert (target.environment, target.remote, target.read_only) == (environment, remote, True)
    assert "pw" not in str(target)


def test_a_look_is_stamped_with_its_time(redis: Redis, server: RedisServer) -> None:
    observer = Observer(redis_url=server.url)
    first, second = observer.look(), observer.look()

    assert timedelta(0) <= second.taken_at - first.taken_at < timedelta(minutes=1)
    assert first.cost.seconds > 0
    observer.close()
