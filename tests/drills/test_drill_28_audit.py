"""Drill 28: entries of Redis that disagree are found by the audit, and after the repair it finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from uuid import uuid4

import pytest
from redis import Redis
from rq import Queue
from rq.registry import FailedJobRegistry

from fixionmail.jobs.names import story_job_id
from fixionmail.ops.actions import Hands
from fixionmail.ops.audit import audit
from fixionmail.ops.audit_database import database_side
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Finding
from tests.drills.conftest import Deployment
from tests.drills.test_drills_05_to_13_work import rung, until
from tests.integration.ops.acting import repair

EXECUTION = "1" * 32


def popped_and_lost(redis: Redis) -> None:
    redis.lrem("rq:queue:imports", 1, "odd")


def record_deleted(redis: Redis) -> None:
    redis.delete("rq:job:odd")


def said_to_be_finished(redis: Redis) -> None:
    redis.hset("rq:job:odd", "status", "finished")


def failed_and_still_queued(redis: Redis) -> None:
    queue = Queue("imports", connection=redis)
    job = queue.fetch_job("odd")
    assert job is not None
    FailedJobRegistry("imports", connection=redis).add(job, 500, "boom")
    redis.hset("rq:job:odd", "status", "failed")


def queued_again(redis: Redis) -> None:
    redis.rpush("rq:queue:imports", "odd")


def deleted_while_it_ran(redis: Redis) -> None:
    started_by_nobody(redis, lease=60)
    redis.delete("rq:job:odd", "rq:executions:odd")


def left_by_its_worker(redis: Redis) -> None:
    started_by_nobody(redis, lease=-60)


def started_by_nobody(redis: Redis, *, lease: int) -> None:
    redis.lrem("rq:queue:imports", 1, "odd")
    redis.hset("rq:job:odd", "status", "started")
    redis.zadd("rq:executions:odd", {EXECUTION: time.time() + 60})
    redis.zadd("rq:wip:imports", {f"odd:{EXECUTION}": time.time() + lease})


@pytest.mark.parametrize(
    ("cause", "kind", "queued"),
    [
        (popped_and_lost, "record-without-entry", True),
        (record_deleted, "entry-without-record", False),
        (said_to_be_finished, "status-disagrees", False),
        (failed_and_still_queued, "several-places", False),
        (queued_again, "listed-twice", True),
        (deleted_while_it_ran, "execution-without-job", False),
        (left_by_its_worker, "lease-lapsed", True),
    ],
)
def test_what_disagrees_is_found_repaired_and_found_no_more(
    deployment: Deployment, cause: Callable[[Redis], None], kind: str, queued: bool
) -> None:
    redis = deployment.redis
    for job in ("odd", "even"):
        Queue("imports", connection=redis).enqueue(time.sleep, 0, job_id=job)
    assert audited(deployment) == {}
    cause(redis)
    found = audited(deployment)[kind]
    assert (found.drill, found.subjects) == (28, ("odd",))
    repaired(deployment, found)
    assert audited(deployment) == {}
    assert sorted(redis.lrange("rq:queue:imports", 0, -1)) == ([b"even", b"odd"] if queued else [b"even"])


def test_a_worker_that_was_killed_and_whose_record_has_expired_is_taken_off_the_list(
    deployment: Deployment,
) -> None:
    redis = deployment.redis
    process = subprocess.Popen(
        [sys.executable, "-m", "rq.cli", "worker", "imports", "--url", deployment.redis_url, "--name", "mill",
         "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    try:
        until(lambda: redis.sismember("rq:workers", "rq:worker:mill") == 1, "the worker")
    finally:
        process.kill()
        process.wait()
    redis.pexpire("rq:worker:mill", 1)
    until(lambda: redis.exists("rq:worker:mill") == 0, "the end of its record")
    found = audited(deployment)["worker-gone"]
    assert (found.drill, found.subjects) == (28, ("mill",))
    repaired(deployment, found)
    assert audited(deployment) == {}
    assert redis.smembers("rq:workers") == set()


def test_a_job_that_the_database_does_not_know_is_removed(deployment: Deployment) -> None:
    (known,) = rung(deployment)
    odd = story_job_id(uuid4())
    Queue("stories", connection=deployment.redis).enqueue(time.sleep, 0, job_id=odd)
    found = audited(deployment)["unknown-to-database"]
    assert found.subjects == (odd,)
    assert deployment.cure(found, "delete") == {"done": 1}
    assert audited(deployment) == {}
    assert deployment.redis.lrange("rq:queue:stories", 0, -1) == [known.encode()]


def test_a_job_that_was_announced_and_is_in_no_queue_is_rung_again(deployment: Deployment) -> None:
    (job,) = rung(deployment)
    deployment.redis.flushall()
    found = audited(deployment)["announced-not-rung"]
    assert found.subjects == (job,)
    deployment.cure(found, "rering")
    assert audited(deployment) == {}
    assert deployment.redis.lrange("rq:queue:stories", 0, -1) == [job.encode()]


def audited(deployment: Deployment) -> dict[str, Finding]:
    """What the audit finds, by kind."""
    with closing(Observer(redis_url=deployment.redis_url, settings=deployment.settings)) as observer:
        *_, last = audit(observer.reader, database_side(observer), sleep=lambda seconds: None)
    assert last.note == ""
    return {finding.kind: finding for finding in last.findings}


def repaired(deployment: Deployment, finding: Finding) -> None:
    """Run the cure that the finding offers, long enough after it was seen."""
    (cure,) = finding.cures
    assert cure.action == "repair-redis"
    hands = Hands(redis_url=deployment.redis_url, settings=deployment.settings)
    with closing(hands):
        repair(hands, cure.targets)
