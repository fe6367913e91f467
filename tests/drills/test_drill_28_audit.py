"""Drill 28: entries of Redis that disagree are found by the audit, and after the repair it finds nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from fixionmail.ops.actions import Hands
from fixionmail.ops.audit import audit
from fixionmail.ops.audit_database import database_side
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Finding
from tests.commands import PATIENCE_SECONDS, until
from tests.drills.conftest import Deployment, settings_of
from tests.drills.stock import BEFORE_THE_START, Gate, StockRq, kill, taken_and_lost
from tests.drills.test_drills_05_to_13_work import rung
from tests.integration.ops.acting import repair
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import lines
from tests.integration.worker.servers import RedisServer
from tests.postgres import PostgresServer


@dataclass(frozen=True, kw_only=True)
class Mill:
    """A queue of RQ's own jobs, each of which notes its id when it runs."""

    deployment: Deployment
    rq: StockRq
    notes: Path

    @property
    def redis(self) -> Redis:
        return self.deployment.redis

    def enqueue(self, job: str, function: str = "note", **options: Any) -> None:
        """Queue a job, as a client of RQ's does."""
        arguments = {"note": [str(self.notes), job], "die": [str(self.notes)], "boom": []}[function]
        Queue("imports", connection=self.redis).enqueue(
            f"{HERE}.{function}", *arguments, job_id=job, **options
        )

    def do(self, code: str) -> None:
        self.rq.do(self.deployment.redis_url, code)

    def work_off(self) -> None:
        self.rq.work_off(self.deployment.redis_url, "imports")


@pytest.fixture
def mill(deployment: Deployment, rq: StockRq, tmp_path: Path) -> Mill:
    return Mill(deployment=deployment, rq=rq, notes=tmp_path / "notes")


def taken_by_a_worker_on_two_queues_that_was_killed(mill: Mill) -> None:
    mill.enqueue("odd")
    taken_and_lost(mill.deployment.redis_url, "imports", "others", rq=mill.rq)


def its_time_ran_out_while_it_waited(mill: Mill) -> None:
    mill.enqueue("odd", ttl=60)
    mill.deployment.pass_redis_time(61)


def queued_by_two_clients(mill: Mill) -> None:
    mill.enqueue("odd")
    mill.enqueue("odd")


def queued_by_two_clients_and_done_once(mill: Mill) -> None:
    queued_by_two_clients(mill)
    with mill.rq.worker(mill.deployment.redis_url, "imports", kind="rq.SimpleWorker", jobs=1) as worker:
        worker.wait(PATIENCE_SECONDS)


def marked_as_done_by_a_client(mill: Mill) -> None:
    mill.enqueue("odd")
    mill.do("queue.fetch_job('odd').set_status('finished')")


def queued_anew_after_it_failed_by_a_client_that_does_not_requeue(mill: Mill) -> None:
    mill.enqueue("odd", "boom")
    mill.work_off()
    mill.do("queue.enqueue_job(queue.fetch_job('odd'))")


def its_worker_was_killed_once_it_had_its_lease(mill: Mill) -> None:
    mill.enqueue("odd")
    taken_and_lost(mill.deployment.redis_url, "imports", rq=mill.rq, before=BEFORE_THE_START)


def its_time_ran_out_just_then(mill: Mill) -> None:
    mill.enqueue("odd", ttl=60)
    taken_and_lost(mill.deployment.redis_url, "imports", rq=mill.rq, before=BEFORE_THE_START)
    mill.deployment.pass_redis_time(61)


def its_worker_died_of_it(mill: Mill) -> None:
    mill.enqueue("odd", "die")
    with mill.rq.worker(mill.deployment.redis_url, "imports", kind="rq.SimpleWorker") as worker:
        worker.wait(PATIENCE_SECONDS)
    mill.deployment.pass_redis_time(250)


def its_client_was_killed_while_it_requeued_it(mill: Mill) -> None:
    mill.enqueue("odd", "boom")
    mill.work_off()
    requeue = "queue.fetch_job('odd').requeue()"
    with (
        Gate(mill.deployment.redis_url, after=b"ZREM") as gate,
        mill.rq.client(gate.url, requeue) as client,
    ):
        gate.wait_until_shut()
        kill(client)


@pytest.mark.parametrize(
    ("cause", "kind", "queued", "done"),
    [
        (taken_by_a_worker_on_two_queues_that_was_killed, "record-without-entry", True, ["odd"]),
        (its_client_was_killed_while_it_requeued_it, "record-without-entry", False, []),
        (its_time_ran_out_while_it_waited, "entry-without-record", False, []),
        (queued_by_two_clients, "listed-twice", True, ["odd"]),
        (queued_by_two_clients_and_done_once, "several-places", False, ["odd"]),
        (queued_anew_after_it_failed_by_a_client_that_does_not_requeue, "several-places", True, []),
        (marked_as_done_by_a_client, "status-disagrees", False, []),
        (its_worker_was_killed_once_it_had_its_lease, "status-disagrees", True, ["odd"]),
        (its_time_ran_out_just_then, "execution-without-job", False, []),
        (its_worker_died_of_it, "lease-lapsed", True, ["begun", "begun"]),
    ],
)
def test_what_disagrees_is_found_repaired_found_no_more_and_each_job_runs_once(
    mill: Mill, cause: Callable[[Mill], None], kind: str, queued: bool, done: list[str]
) -> None:
    cause(mill)
    mill.enqueue("even")
    found = audited(mill.deployment)
    assert (found[kind].drill, {each.partition(":")[0] for each in found[kind].subjects}) == (28, {"odd"})
    for finding in found.values():
        repaired(mill.deployment, finding)
    assert audited(mill.deployment) == {}
    assert sorted(mill.redis.lrange("rq:queue:imports", 0, -1)) == (
        [b"even", b"odd"] if queued else [b"even"]
    )
    mill.work_off()
    assert sorted(lines(mill.notes)) == sorted([*done, "even"])
    assert audited(mill.deployment) == {}


def test_what_was_evicted_is_found_and_removed_once_the_policy_that_evicts_is_set_right(
    database_url: str, deployment: Deployment, tmp_path: Path
) -> None:
    with evicting(tmp_path) as url, Redis.from_url(url) as redis:
        evicted = settings_of(url, database_url, tmp_path)
        full = replace(deployment, settings=evicted, redis=redis)
        queue = Queue("imports", connection=redis)
        assert full.cure(full.findings()["eviction-policy"], "repair-redis") == {"done": 1}
        found = audited(full)["entry-without-record"]
        listed = set(queue.job_ids)
        assert set(found.subjects) == {job for job in listed if not redis.exists(f"rq:job:{job}")}
        repaired(full, found)
        assert audited(full) == {}
        assert set(queue.job_ids) == listed - set(found.subjects)


@contextmanager
def evicting(folder: Path) -> Iterator[str]:
    """A Redis that was allowed to evict, and filled until it has evicted what nobody had touched for longest."""
    options = ("--maxmemory-policy", "allkeys-lru", "--maxmemory-samples", "64")
    server = RedisServer(folder, options=options)
    server.start()
    try:
        with Redis.from_url(server.url) as redis:
            queue = Queue("imports", connection=redis)
            fill(queue, 50)
            time.sleep(1.1)  # the server tells ages apart by the second
            redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + 2_000_000)
            until(lambda: fill(queue, 20) or int(redis.info("stats")["evicted_keys"]) > 20, "the evictions")
        yield server.url
    finally:
        server.kill()


def fill(queue: Queue, jobs: int) -> None:
    for _ in range(jobs):
        queue.enqueue(time.sleep, 0, description="x" * 20_000)


def test_a_worker_that_was_killed_and_whose_record_has_expired_is_taken_off_the_list(mill: Mill) -> None:
    with mill.rq.worker(mill.deployment.redis_url, "imports") as worker:
        until(lambda: mill.redis.sismember("rq:workers", "rq:worker:mill-worker"), "the worker")
        kill(worker)
    mill.deployment.pass_redis_time(600)
    until(lambda: not mill.redis.exists("rq:worker:mill-worker"), "the end of its record")
    found = audited(mill.deployment)["worker-gone"]
    assert (found.drill, found.subjects) == (28, ("mill-worker",))
    repaired(mill.deployment, found)
    assert audited(mill.deployment) == {}
    assert mill.redis.smembers("rq:workers") == set()


def test_jobs_of_a_database_that_was_replaced_are_removed(
    deployment: Deployment, postgres_server: PostgresServer
) -> None:
    (old,) = rung(deployment)
    with postgres_server.migrated_database() as url:
        new = replace(deployment, settings=settings_of(deployment.redis_url, url, deployment.settings.home))
        found = audited(new)["unknown-to-database"]
        assert found.subjects == (old,)
        assert new.cure(found, "delete") == {"done": 1}
        assert audited(new) == {}
    assert deployment.redis.lrange("rq:queue:stories", 0, -1) == []


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
