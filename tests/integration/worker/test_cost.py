"""How many commands the worker sends: busy, one job at a time, and idle."""

from __future__ import annotations

import time

from redis import Redis

from fixionmail.jobs.worker import WorkerOptions
from fixionmail.jobs.worker.house import MAINTENANCE_IDLE
from fixionmail.jobs.worker.record import WorkerRecord
from fixionmail.jobs.worker.worker import BELL_SECONDS
from tests.integration.worker.jobs import listens, new, queue, status
from tests.integration.worker.monitor import sent_commands
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def rest(redis: Redis, workers: Workers) -> None:
    """Start a worker and wait until it has nothing more to set up."""
    worker = workers.start(concurrency=50)
    eventually(lambda: redis.get("rq:clean_groups"), "it has cleaned up")
    eventually(lambda: redis.hget(f"rq:worker:{worker.name}", "state") == b"idle", "it rests")
    eventually(lambda: listens(redis, worker.name), "it listens")
    eventually(lambda: waits_on_both_queues(redis), "it waits for jobs")


def waits_on_both_queues(redis: Redis) -> bool:
    """Whether two clients are blocked until something is in their queue."""
    return len([client for client in redis.client_list() if "b" in client["flags"]]) == 2


def test_jobs_in_bulk_cost_less_than_one_command_each(redis: Redis, workers: Workers) -> None:
    rest(redis, workers)

    def a_thousand() -> None:
        queue(redis, *(new(f"n{i}", "nothing") for i in range(1000)))
        while redis.zcard("rq:finished:stories") < 1000:
            time.sleep(0.05)

    names = sent_commands(workers.url, a_thousand)
    assert names.count("EVALSHA") + names.count("BLMOVE") < 300


def test_one_job_costs_four_commands_from_enqueue_to_finish(redis: Redis, workers: Workers) -> None:
    rest(redis, workers)
    queue(redis, new("first", "nothing"))  # the server has learnt all scripts
    eventually(lambda: status(redis, "first") == "finished", "the first is finished")
    eventually(lambda: waits_on_both_queues(redis), "it waits for jobs again")

    def one() -> None:
        queue(redis, new("a", "nothing"))
        eventually(lambda: status(redis, "a") == "finished", "it is finished")
        eventually(lambda: waits_on_both_queues(redis), "it waits for jobs again")
        time.sleep(0.2)  # nothing can be awaited: nothing more may happen

    names = [name for name in sent_commands(workers.url, one) if name not in ("HGET", "CLIENT")]
    assert sorted(names) == ["BLMOVE", "EVALSHA", "EVALSHA", "EVALSHA"]
    assert status(redis, "a") == "finished"


def test_an_idle_worker_sends_nothing_for_minutes(redis: Redis, workers: Workers) -> None:
    rest(redis, workers)
    assert sent_commands(workers.url, lambda: time.sleep(2.0)) == []


def test_an_idle_worker_stays_under_60000_commands_a_month(redis: Redis, workers: Workers) -> None:
    options = WorkerOptions(queues=("emails", "stories"), concurrency=50)
    record = WorkerRecord(options.queues, "w", redis, 480)
    maintenance = len(sent_commands(workers.url, record.clean_up))
    hourly = (
        2 * 3600 / BELL_SECONDS + 3600 / options.heartbeat_seconds + maintenance * 3600 / MAINTENANCE_IDLE
    )
    assert hourly * 24 * 30 < 60_000
