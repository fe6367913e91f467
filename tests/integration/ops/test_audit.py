"""The audit: silent where all is well, and each kind of disagreement named with its ids."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.registry import FailedJobRegistry

from fixionmail.jobs.worker import enqueue_many
from fixionmail.ops.audit import AuditStep, DatabaseSide, audit
from fixionmail.ops.connection import RedisReader
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import new, notes
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def found(reader: RedisReader, database: DatabaseSide | None = None) -> dict[str, tuple[str, ...]]:
    *_, last = audit(reader, database, sleep=lambda seconds: None)
    assert last.finished
    assert last.done == last.total
    return {finding.kind: tuple(sorted(finding.subjects)) for finding in last.findings}


def queued(redis: Redis, *ids: str, queue: str = "reports") -> None:
    for job_id in ids:
        Queue(queue, connection=redis).enqueue(f"{HERE}.add", 1, 2, job_id=job_id)


def test_an_empty_redis_agrees_with_itself(redis: Redis, reader: RedisReader) -> None:
    assert found(reader) == {}


def test_what_a_real_rq_2_left_agrees_with_itself_but_for_what_it_lost(
    old_deployment: Redis, reader: RedisReader
) -> None:
    assert found(reader) == {"never-started": ("waiting",)}


def test_what_our_worker_leaves_and_holds_agrees(
    redis: Redis, reader: RedisReader, workers: Workers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    ended = [
        new("done", "nothing"),
        new("broken", "boom"),
        *notes(tmp_path / "lines", [f"n-{n}" for n in range(30)]),
    ]
    enqueue_many(redis, "stories", [*ended, new("runs", "careless", str(tmp_path / "notes"), str(gate))])
    workers.start()
    try:
        eventually(lambda: redis.zcard("rq:finished:stories") == 31, "the others are done")
        eventually(lambda: redis.zcard("rq:wip:stories") == 1, "one runs")
        assert found(reader) == {}
    finally:
        gate.touch()


def test_a_job_popped_and_lost_before_it_started_is_found(redis: Redis, reader: RedisReader) -> None:
    queued(redis, "kept", "lost")
    redis.lrem("rq:queue:reports", 1, "lost")

    assert found(reader) == {"record-without-entry": ("lost",)}


def test_an_id_without_a_record_is_found_in_lists_and_registries(redis: Any, reader: RedisReader) -> None:
    queued(redis, "kept", "deleted")
    redis.delete("rq:job:deleted")
    redis.zadd("rq:failed:reports", {"expired": time.time() + 60})

    assert found(reader) == {"entry-without-record": ("deleted", "expired")}


def test_a_status_that_disagrees_with_its_place_is_found(redis: Redis, reader: RedisReader) -> None:
    queued(redis, "kept", "wrong")
    redis.hset("rq:job:wrong", "status", "finished")

    assert found(reader)["status-disagrees"] == ("wrong",)


def test_an_id_twice_in_a_queue_is_found(redis: Redis, reader: RedisReader) -> None:
    queued(redis, "kept", "twice")
    redis.rpush("rq:queue:reports", "twice")

    assert found(reader) == {"listed-twice": ("twice",)}


def test_an_id_in_two_places_is_found(redis: Any, reader: RedisReader) -> None:
    queued(redis, "kept", "both", "waiting-and-failed")
    job = Queue("reports", connection=redis).fetch_job("both")
    assert job is not None
    FailedJobRegistry("reports", connection=redis).add(job, 500, "boom")
    redis.hset("rq:job:both", "status", "failed")
    redis.zadd("rq:failed:reports", {"waiting-and-failed": time.time() + 60})

    assert found(reader) == {"several-places": ("both", "waiting-and-failed")}


def test_workers_and_executions_that_are_gone_are_found(redis: Any, reader: RedisReader) -> None:
    queued(redis, "orphan", "stale")
    redis.sadd("rq:workers", "rq:worker:killed")
    redis.sadd("rq:worker:killed:executions", "orphan:" + "0" * 32)
    redis.lrem("rq:queue:reports", 1, "stale")
    redis.hset("rq:job:stale", "status", "started")
    redis.zadd("rq:executions:stale", {"1" * 32: time.time() + 60})
    redis.zadd(
        "rq:wip:reports", {"stale:" + "1" * 32: time.time() - 60, "deleted:" + "2" * 32: time.time() + 60}
    )

    assert found(reader) == {
        "worker-gone": ("killed",),
        "execution-without-job": ("deleted", "orphan:" + "0" * 32),
        "lease-lapsed": ("stale",),
    }


def test_a_job_is_not_lost_while_a_lapsed_lease_alone_names_it(redis: Any, reader: RedisReader) -> None:
    queued(redis, "stale")
    redis.lpop("rq:queue:reports")
    redis.hset("rq:job:stale", "status", "started")
    redis.zadd("rq:wip:reports", {"stale:" + "1" * 32: time.time() - 60})

    assert found(reader) == {"lease-lapsed": ("stale",)}


def test_a_job_that_no_worker_started_after_one_took_it_is_found(redis: Any, reader: RedisReader) -> None:
    queued(redis, "kept", "lost")
    redis.lrem("rq:queue:reports", 1, "lost")
    redis.rpush("rq:queue:reports:intermediate", "lost")

    (finding,) = list(audit(reader, sleep=lambda seconds: None))[-1].findings

    assert (finding.kind, finding.subjects) == ("never-started", ("lost",))
    assert [(cure.action, cure.targets) for cure in finding.cures] == [("repair-redis", ("lost",))]


@pytest.mark.parametrize("moment", ["before it is looked for", "before it is looked for again"])
def test_a_job_that_a_worker_is_about_to_start_is_not_told(
    redis: Any, reader: RedisReader, moment: str
) -> None:
    queued(redis, "begins")
    redis.lmove("rq:queue:reports", "rq:queue:reports:intermediate", "LEFT", "RIGHT")

    def begin(seconds: float = 0.0) -> None:
        redis.zadd("rq:executions:begins", {"e" * 32: time.time() + 60})

    if moment == "before it is looked for":
        begin()
    *_, last = audit(reader, sleep=begin)

    assert last.findings == ()


def test_keys_of_another_type_are_found_with_the_command_that_sets_them_aside(
    redis: Any, reader: RedisReader
) -> None:
    queued(redis, "kept")
    keys = ("rq:failed:reports", "rq:job:a-job", "rq:queue:reports:intermediate", "rq:queue:torn")
    redis.sadd("rq:queues", "rq:queue:torn")
    for key in keys:
        redis.set(key, "something else")

    (finding,) = list(audit(reader))[-1].findings

    assert (finding.kind, tuple(sorted(finding.subjects))) == ("unreadable-key", keys)
    assert f'redis-cli -u "$REDIS_URL" RENAMENX {keys[0]} {keys[0]}:set-aside' in {
        cure.command for cure in finding.cures
    }


def test_many_jobs_are_audited_in_steps_that_tell_how_far_they_are(redis: Any, reader: RedisReader) -> None:
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.sadd("rq:queues", "rq:queue:reports")
        for number in range(20_000):
            pipeline.hset(f"rq:job:j-{number}", mapping={"status": "queued", "origin": "reports"})
            pipeline.rpush("rq:queue:reports", f"j-{number}")
        pipeline.execute()
    redis.config_set("slowlog-log-slower-than", 50_000)
    redis.slowlog_reset()

    steps = list(audit(reader))

    assert len(steps) > 5
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].findings, steps[-1].total) == ((), 40_002)
    assert redis.slowlog_len() == 0


def test_an_audit_can_be_ended_at_any_step(redis: Redis, reader: RedisReader) -> None:
    queued(redis, "a", "b")
    steps = audit(reader)
    assert isinstance(next(steps), AuditStep)

    steps.close()
    commands = reader.commands

    assert reader.commands == commands
    assert list(steps) == []


def test_a_job_that_moves_on_meanwhile_is_not_told(redis: Any, reader: RedisReader) -> None:
    queued(redis, "moves")
    redis.lrem("rq:queue:reports", 1, "moves")
    steps = audit(reader)
    for step in steps:
        if step.what == "reading the records of all jobs":
            redis.rpush("rq:queue:reports", "moves")
        last = step

    assert last.findings == ()


def test_a_job_that_a_worker_takes_and_ends_meanwhile_is_not_told(redis: Any, reader: RedisReader) -> None:
    queued(redis, "ends", "is-forgotten")
    for step in audit(reader):
        if step.what == "reading the queued jobs of reports":
            redis.delete("rq:queue:reports", "rq:job:is-forgotten")
            redis.hset("rq:job:ends", "status", "finished")
            redis.zadd("rq:finished:reports", {"ends": time.time() + 60})
        last = step

    assert last.findings == ()


def test_the_database_is_asked_for_what_waits_and_for_what_was_announced(
    redis: Redis, reader: RedisReader
) -> None:
    queued(redis, "known", "stranger", queue="stories")
    queued(redis, "of-another-queue")
    asked: list[str] = []

    def unknown(ids: Sequence[str]) -> list[str]:
        asked.extend(ids)
        return [each for each in ids if each == "stranger"]

    def announced() -> Iterator[Mapping[str, object]]:
        yield {"known": 1, "flushed": 2}

    assert found(reader, DatabaseSide(unknown=unknown, announced=announced)) == {
        "unknown-to-database": ("stranger",),
        "announced-not-rung": ("flushed",),
    }
    assert asked == ["known", "stranger"]


def test_findings_are_the_worst_first_with_a_cure(redis: Any, reader: RedisReader) -> None:
    queued(redis, "lost", "deleted")
    redis.lrem("rq:queue:reports", 1, "lost")
    redis.delete("rq:job:deleted")

    *_, last = audit(reader)

    assert [finding.kind for finding in last.findings] == ["record-without-entry", "entry-without-record"]
    assert last.findings[0].title == "Jobs on record and in no list or registry: 1"
    assert last.findings[0].cures[0].targets == ("lost",)
