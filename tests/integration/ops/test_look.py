"""One look at all of Redis, on queues written by stock rq 3.0, by our own worker and by a real rq 2.12."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue
from rq.suspension import suspend
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from fixionmail.jobs.worker import drain_worker, enqueue_many, pause_queue
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.redis_look import RedisLook, look
from fixionmail.ops.views.redis import ExecutionView, QueueView, WorkerHealth, WorkerView
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import new, notes
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


class StockWorker(SimpleWorker):  # type: ignore[misc, unused-ignore]
    """rq's own worker, for a test's thread."""

    death_penalty_class = TimerDeathPenalty


def queue_of(seen: RedisLook, name: str) -> QueueView:
    return next(queue for queue in seen.queues if queue.name == name)


def worker_of(seen: RedisLook, name: str) -> WorkerView:
    return next(worker for worker in seen.workers if worker.name == name)


def test_a_server_tells_what_it_is(redis: Redis, reader: RedisReader) -> None:
    redis.set("rq:suspended-by-nobody", "1")

    server = look(reader).redis

    assert (server.flavour, server.role, server.eviction_policy) == ("Valkey", "master", "noeviction")
    assert server.version.count(".") == 2
    assert (server.keys, server.persistence, server.suspended) == (1, "none", False)
    assert server.used_memory > 0
    assert 0 < server.round_trip_seconds < 3
    assert server.clock_skew_seconds == 0.0


def test_a_look_costs_one_command(redis: Redis, reader: RedisReader) -> None:
    look(reader)
    before = reader.commands

    look(reader)

    assert reader.commands - before == 1


def test_stock_rq_jobs_are_counted_by_state(redis: Redis, reader: RedisReader) -> None:
    queue = Queue("reports", connection=redis)
    first = queue.enqueue(f"{HERE}.add", 1, 2, job_id="first")
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="second")
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="third", depends_on=first)
    queue.enqueue_in(timedelta(hours=1), f"{HERE}.add", 1, 2, job_id="later")
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="unwanted").cancel()

    reports = queue_of(look(reader), "reports")

    assert (reports.waiting, reports.deferred, reports.scheduled, reports.canceled) == (2, 1, 1, 1)
    assert (reports.running, reports.failed, reports.finished, reports.limbo) == (0, 0, 0, 0)
    assert reports.head_id == "first"
    assert reports.oldest_waiting_at is not None
    assert abs(reports.oldest_waiting_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (reports.workers, reports.in_per_minute, reports.drain_seconds) == (0, None, None)


def test_finished_and_failed_jobs_of_a_stock_worker_are_counted(redis: Redis, reader: RedisReader) -> None:
    queue = Queue("reports", connection=redis)
    queue.enqueue(f"{HERE}.add", 1, 2)
    queue.enqueue(f"{HERE}.boom")
    StockWorker([queue], connection=redis).work(burst=True)

    seen = look(reader)

    assert (queue_of(seen, "reports").finished, queue_of(seen, "reports").failed) == (1, 1)
    assert seen.redis.rq_layout == "3"


def test_an_idle_stock_worker_is_well(redis: Redis, reader: RedisReader) -> None:
    worker = StockWorker(["reports", "mails"], connection=redis, name="stock")
    worker.register_birth()
    worker.set_state("idle")

    seen = look(reader)

    stock = worker_of(seen, "stock")
    assert (stock.health, stock.state, stock.queues) == (WorkerHealth.OK, "idle", ("reports", "mails"))
    assert (stock.pid, stock.slots, stock.threaded) == (os.getpid(), 1, False)
    assert stock.version == "3.0.0"
    assert {queue.name: queue.workers for queue in seen.queues} == {"reports": 1, "mails": 1}


def test_our_worker_shows_its_slots_its_version_and_what_it_holds(
    redis: Redis, reader: RedisReader, workers: Workers, tmp_path: Path
) -> None:
    path, gate = tmp_path / "notes", tmp_path / "gate"
    enqueue_many(redis, "stories", [new(f"job-{n}", "careless", str(path), str(gate)) for n in range(3)])
    worker = workers.start(concurrency=7)
    try:
        eventually(lambda: path.exists() and len(path.read_text().splitlines()) == 3, "all have begun")
        record = f"rq:worker:{worker.name}"
        eventually(lambda: redis.hget(record, "state") == b"busy", "it has said so")
        seen = look(reader)
    finally:
        gate.touch()

    ours = worker_of(seen, worker.name)
    assert (ours.threaded, ours.slots, ours.running, ours.state) == (True, 7, 3, "busy")
    assert ours.health is WorkerHealth.OK
    assert ours.version.startswith("0.")
    assert [held.job_id for held in ours.executions] == ["job-0", "job-1", "job-2"]
    held = ours.executions[0]
    assert (held.queue, held.function, held.timeout_seconds) == ("stories", f"{HERE}.careless", 60.0)
    assert not held.overdue
    assert held.lease_until is not None
    assert held.lease_until > datetime.now(UTC)
    assert queue_of(seen, "stories").oldest_running_at == held.started_at
    assert (queue_of(seen, "stories").running, queue_of(seen, "stories").workers) == (3, 1)


def test_rates_come_from_whole_minutes_and_tell_when_the_backlog_is_gone(
    redis: Redis, reader: RedisReader
) -> None:
    enqueue_many(redis, "stories", [new(f"job-{n}", "nothing") for n in range(30)])
    this_minute = int(time.time() // 60)
    for minute in range(this_minute - 6, this_minute):
        redis.hset(
            f"fm:stats:stories:{minute}", mapping={"enqueued": 10, "started": 20, "finished": 15, "failed": 5}
        )

    stories = queue_of(look(reader), "stories")

    if int(time.time() // 60) == this_minute:
        assert (stories.in_per_minute, stories.out_per_minute, stories.failed_per_minute) == (10, 20, 5)
        assert stories.drain_seconds == 180.0
    assert stories.minutes[0].finished == 15
    assert stories.minutes[-1].enqueued == 30


def test_pauses_suspension_and_drains_are_shown(redis: Redis, reader: RedisReader, workers: Workers) -> None:
    worker = workers.start()
    eventually(lambda: redis.exists(f"rq:worker:{worker.name}"), "the worker is registered")
    pause_queue(redis, "emails", by="ada", reason="the provider is down")
    redis.hset(f"rq:worker:{worker.name}", "fm_drain", "1")

    seen = look(reader)
    suspend(redis)

    paused = queue_of(seen, "emails").paused
    assert paused is not None
    assert (paused.by, paused.reason) == ("ada", "the provider is down")
    assert queue_of(seen, "stories").paused is None
    assert worker_of(seen, worker.name).health is WorkerHealth.DRAINING
    assert not seen.redis.suspended
    assert look(reader).redis.suspended
    drain_worker(redis, worker.name)


def test_a_worker_that_is_silent_for_too_long_is_quiet_and_one_without_a_record_is_dead(
    redis: Redis, reader: RedisReader
) -> None:
    for name, silent, state, life in (
        ("idle-for-long", 400, "idle", 80),
        ("silent", 460, "idle", 20),
        ("busy-and-silent", 80, "busy", 10),
        ("forgotten", 5000, "idle", -1),
    ):
        _worker(redis, name, silent=silent, state=state, life=life)
    redis.sadd("rq:workers", "rq:worker:killed")

    health = {worker.name: worker.health for worker in look(reader).workers}

    assert health == {
        "idle-for-long": WorkerHealth.OK,
        "silent": WorkerHealth.QUIET,
        "busy-and-silent": WorkerHealth.QUIET,
        "forgotten": WorkerHealth.DEAD,
        "killed": WorkerHealth.DEAD,
    }


def test_a_lease_that_nobody_renews_is_counted_as_lapsed(redis: Redis, reader: RedisReader) -> None:
    redis.sadd("rq:queues", "rq:queue:stories")
    redis.zadd("rq:wip:stories", {"a:1": time.time() - 5, "b:2": time.time() + 60})

    stories = queue_of(look(reader), "stories")

    assert (stories.running, stories.lapsed) == (2, 1)


def test_a_job_that_a_killed_worker_took_is_in_limbo(redis: Any, reader: RedisReader) -> None:
    Queue("reports", connection=redis).enqueue(f"{HERE}.add", 1, 2, job_id="taken")
    redis.lmove("rq:queue:reports", "rq:queue:reports:intermediate")

    reports = queue_of(look(reader), "reports")

    assert (reports.waiting, reports.limbo) == (0, 1)
    assert reports.oldest_limbo_at is not None


def test_a_job_that_a_stock_worker_is_about_to_run_is_not_in_limbo(redis: Any, reader: RedisReader) -> None:
    queue = Queue("reports", connection=redis)
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="taken")
    redis.lmove("rq:queue:reports", "rq:queue:reports:intermediate")
    worker = StockWorker([queue], connection=redis, name="stock")
    worker.register_birth()
    worker.prepare_execution(queue.fetch_job("taken"))

    reports = queue_of(look(reader), "reports")

    assert (reports.limbo, reports.oldest_limbo_at, reports.running) == (0, None, 1)


def test_a_deployment_of_rq_2_is_read_as_it_is(old_deployment: Redis, reader: RedisReader) -> None:
    seen = look(reader)

    assert (seen.redis.rq_layout, seen.redis.broken) == ("2", ())
    mails, reports = queue_of(seen, "mails"), queue_of(seen, "reports")
    assert (mails.waiting, mails.limbo, mails.finished, mails.failed) == (1, 1, 1, 1)
    assert (mails.scheduled, mails.canceled) == (2, 1)
    assert (reports.running, reports.deferred, reports.workers) == (1, 1, 1)
    (worker,) = seen.workers
    assert (worker.name, worker.host, worker.version) == ("busy-worker", "old-host", "2.12.0")
    assert worker.health is WorkerHealth.OK
    (held,) = worker.executions
    assert isinstance(held, ExecutionView)
    assert (held.job_id, held.function, held.timeout_seconds) == ("first", "time.sleep", 600.0)
    assert held.lease_until is not None


def test_another_prefix_is_another_deployment(redis: Any, reader: RedisReader, server: Any) -> None:
    redis.sadd("rq:queues", "rq:queue:stories")
    redis.sadd("shop{1}:queues", "shop{1}:queue:orders")
    redis.rpush("shop{1}:queue:orders", "an-order")
    shop = RedisReader(server.url, prefix="shop{1}")

    assert [(queue.name, queue.waiting) for queue in look(shop).queues] == [("orders", 1)]
    assert [queue.name for queue in look(reader).queues] == ["stories"]
    shop.close()


def test_an_empty_redis_and_one_that_is_not_rqs_are_told_apart(redis: Any, reader: RedisReader) -> None:
    assert look(reader).redis.rq_layout == "none"
    redis.set("session:1", "x")
    assert look(reader).redis.rq_layout == "foreign"
    redis.delete("session:1")
    redis.hset("fm:stats:stories:1", "enqueued", 1)
    assert look(reader).redis.rq_layout == "none"
    redis.sadd("rq:queues", "not a queue of ours")
    assert look(reader).redis.rq_layout == "foreign"


def test_queues_are_named_even_before_their_first_job(redis: Redis, reader: RedisReader) -> None:
    assert [queue.name for queue in look(reader, ("emails", "stories")).queues] == ["emails", "stories"]


def test_many_executions_are_counted_and_some_are_shown(redis: Any, reader: RedisReader) -> None:
    _worker(redis, "wide", silent=1, state="busy", life=400)
    redis.sadd("rq:worker:wide:executions", *(f"job-{n}:{n:032x}" for n in range(3000)))

    (wide,) = look(reader).workers

    assert (wide.running, len(wide.executions)) == (3000, 1000)


def test_json_notes_that_are_not_ours_do_not_harm(redis: Any, reader: RedisReader) -> None:
    redis.hset("fm:paused", mapping={"emails": json.dumps(["a", "list"]), "stories": b"\xff\xfe"})

    paused = [queue.paused for queue in look(reader).queues]

    assert [(note.by, note.reason, note.since) for note in paused if note] == [("", "", None)] * 2


def test_jobs_of_ours_that_wait_are_counted(redis: Redis, reader: RedisReader, tmp_path: Path) -> None:
    enqueue_many(redis, "stories", notes(tmp_path / "notes", ["a", "b"]))

    assert queue_of(look(reader), "stories").waiting == 2


def _worker(redis: Any, name: str, *, silent: float, state: str, life: int) -> None:
    now = datetime.now(UTC)
    redis.sadd("rq:workers", f"rq:worker:{name}")
    redis.hset(
        f"rq:worker:{name}",
        mapping={
            "birth": f"{now - timedelta(hours=2):%Y-%m-%dT%H:%M:%S.%fZ}",
            "last_heartbeat": f"{now - timedelta(seconds=silent):%Y-%m-%dT%H:%M:%S.%fZ}",
            "queues": "stories",
            "state": state,
        },
    )
    if life > 0:
        redis.expire(f"rq:worker:{name}", life)
