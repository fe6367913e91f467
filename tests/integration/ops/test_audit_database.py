"""The audit against the database: what Redis holds in vain, what it has lost, and silence where all is well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis import Redis

from console.live import open_deck
from fixionmail.jobs.dispatch import QueueDispatcher
from fixionmail.jobs.names import story_job_id
from fixionmail.ops.audit import AuditStep, audit
from fixionmail.ops.audit_database import database_side
from fixionmail.ops.snapshot import Observer
from fixionmail.settings import Settings
from tests.contract.store.world import World, now
from tests.faults.deployment import deployment
from tests.integration.ops.test_audit import queued
from tests.integration.worker.servers import RedisServer, free_port


def settings(home: Path, **given: Any) -> Settings:
    return Settings.model_validate({"fixionmail_home": home, **given})


@pytest.fixture
def observer(redis: Redis, server: RedisServer, database_url: str, tmp_path: Path) -> Iterator[Observer]:
    ours = settings(tmp_path, redis_url=server.url, database_url=database_url)
    with closing(Observer(redis_url=server.url, settings=ours)) as opened:
        yield opened


def audited(observer: Observer) -> AuditStep:
    """The last step, without waiting for what is on its way."""
    *_, last = audit(observer.reader, database_side(observer), sleep=lambda seconds: None)
    return last


def found(observer: Observer) -> dict[str, set[str]]:
    """Ids by what is wrong with them."""
    last = audited(observer)
    assert last.note == ""
    return {finding.kind: set(finding.subjects) for finding in last.findings}


def ring(observer: Observer, *jobs: UUID) -> None:
    settings = observer.settings
    assert settings is not None
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    with closing(QueueDispatcher(url, story_timeout=900, mail_timeout=120)) as bell:
        bell.ring_stories(jobs)


def lead(world: World, mode: str, since: timedelta) -> None:
    info = {"mode": mode, "mode_since": (now() - since).isoformat()}
    world.store.leases.acquire(name="scheduler", holder="leader", ttl_seconds=30, info=info)


class TestJobsInRedis:
    def test_that_the_database_knows_are_sound(self, observer: Observer, world: World) -> None:
        ring(observer, *world.jobs(3))
        assert found(observer) == {}

    def test_that_the_database_does_not_know_are_named(self, observer: Observer, world: World) -> None:
        stranger = uuid4()
        ring(observer, *world.jobs(2), stranger)
        assert found(observer) == {"unknown-to-database": {story_job_id(stranger)}}

    def test_of_other_queues_and_of_ids_that_are_not_ours_are_nobodys_business(
        self, observer: Observer, redis: Redis
    ) -> None:
        queued(redis, "invoice-7", story_job_id(uuid4()), queue="reports")
        queued(redis, "story-of-my-life", queue="stories")
        assert found(observer) == {}

    def test_are_named_in_the_console_too(self, observer: Observer) -> None:
        stranger = uuid4()
        ring(observer, stranger)
        ours = observer.settings
        assert ours is not None
        with closing(open_deck(None, ours, prefix="rq", read_only=True)) as deck:
            *_, last = deck.audit()
        assert [finding.subjects for finding in last.findings] == [(story_job_id(stranger),)]
        assert (last.words, last.finished) == ("keys and entries", True)


class TestAnnouncedJobs:
    def test_that_redis_does_not_have_are_named(self, observer: Observer, world: World) -> None:
        kept, flushed = world.jobs(2)
        ring(observer, kept)
        assert found(observer) == {"announced-not-rung": {story_job_id(flushed)}}

    def test_that_are_rung_for_meanwhile_are_on_their_way(self, observer: Observer, world: World) -> None:
        (job,) = world.jobs()
        *_, last = audit(observer.reader, database_side(observer), sleep=lambda seconds: ring(observer, job))
        assert last.findings == ()

    def test_whose_next_ring_came_meanwhile_are_left_to_it(self, observer: Observer, world: World) -> None:
        world.jobs()

        def sweep(seconds: float) -> None:
            world.change("update story_jobs set ring_at = ring_at + interval '1 minute'")

        *_, last = audit(observer.reader, database_side(observer), sleep=sweep)
        assert last.findings == ()

    @pytest.mark.parametrize(
        ("mode", "since", "judged"),
        [
            ("queue", timedelta(hours=1), True),
            ("queue", timedelta(seconds=5), False),
            ("fallback", timedelta(hours=1), False),
        ],
        ids=["in queue mode", "just after fallback", "in fallback"],
    )
    def test_are_looked_for_in_redis_only_where_they_are_rung_for_there(
        self, observer: Observer, world: World, mode: str, since: timedelta, judged: bool
    ) -> None:
        (job,) = world.jobs()
        lead(world, mode, since)
        assert found(observer) == ({"announced-not-rung": {story_job_id(job)}} if judged else {})


class TestADatabaseThatCannotBeAsked:
    def test_is_told_of_beside_what_redis_shows(
        self, redis: Redis, server: RedisServer, tmp_path: Path
    ) -> None:
        queued(redis, "lost")
        redis.lrem("rq:queue:reports", 1, "lost")
        away = settings(
            tmp_path, redis_url=server.url, database_url=f"postgresql://me:pw@127.0.0.1:{free_port()}/x"
        )
        with closing(Observer(redis_url=server.url, settings=away)) as observer:
            last = audited(observer)
        assert [finding.kind for finding in last.findings] == ["record-without-entry"]
        assert last.note.startswith("The database could not be asked: ")
        assert last.finished

    def test_is_none_where_the_redis_is_somebody_elses_or_nothing_runs(
        self, server: RedisServer, database_url: str, tmp_path: Path
    ) -> None:
        ours = settings(tmp_path, redis_url=server.url, database_url=database_url)
        for given in (
            Observer(redis_url=server.url),
            Observer(redis_url=server.url, settings=ours, prefix="shop"),
            Observer(redis_url=server.url, settings=settings(tmp_path, redis_url=server.url)),
        ):
            with closing(given) as observer:
                assert database_side(observer) is None


@pytest.mark.slow
def test_in_a_healthy_busy_deployment_nothing_is_found(
    redis: Redis, server: RedisServer, database_url: str, tmp_path: Path
) -> None:
    ours = settings(tmp_path, redis_url=server.url, database_url=database_url)
    with (
        deployment(tmp_path / "busy", database_url, server.url) as busy,
        closing(Observer(redis_url=server.url, settings=ours)) as observer,
        busy.run("worker"),
        busy.run("scheduler"),
        busy.run("delivery"),
    ):
        busy.add_readers(300)
        audits = 0
        while busy.world.value("select count(*) from stories") < 300:
            *_, last = audit(observer.reader, database_side(observer))
            assert (last.findings, last.note) == ((), "")
            audits += 1
        assert audits > 1
