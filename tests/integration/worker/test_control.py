"""Pausing a queue and draining a worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis

from fixionmail.errors import InputError
from fixionmail.jobs.worker import drain_worker, pause_queue, paused_queues, resume_queue
from tests.integration.worker.jobs import lines, new, queue, status
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


def test_a_paused_queue_rests_while_the_other_is_served(redis: Redis, workers: Workers) -> None:
    pause_queue(redis, "stories", by="kim", reason="the model is down")
    workers.start()
    queue(redis, new("story", "nothing"))
    queue(redis, new("email", "nothing"), on="emails")
    eventually(lambda: status(redis, "email") == "finished", "the other queue is served")
    assert status(redis, "story") == "queued"


def test_resuming_wakes_the_workers_at_once(redis: Redis, workers: Workers) -> None:
    pause_queue(redis, "stories", by="kim", reason="the model is down")
    worker = workers.start()
    eventually(lambda: redis.pubsub_numsub("fm:wake")[0][1] == 1, "the worker listens")
    queue(redis, new("story", "nothing"))
    assert resume_queue(redis, "stories")
    eventually(lambda: status(redis, "story") == "finished", "the story is done")
    assert not resume_queue(redis, "stories")
    worker.stop()


def test_a_pause_tells_who_and_why(redis: Redis) -> None:
    pause_queue(redis, "stories", by="kim", reason="the model is down")
    pause_queue(redis, "emails", by="lee", reason="quota")
    emails, stories = paused_queues(redis)
    assert (emails.queue, emails.by, emails.reason) == ("emails", "lee", "quota")
    assert (stories.queue, stories.by, stories.reason) == ("stories", "kim", "the model is down")
    assert stories.since.tzinfo is not None


def test_a_drained_worker_finishes_what_it_runs_and_takes_nothing_more(
    redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    queue(redis, new("a", "careless", str(tmp_path / "notes"), str(gate)))
    worker = workers.start(drain_seconds=0.0)
    eventually(lambda: lines(tmp_path / "notes"), "the job runs")
    eventually(lambda: redis.pubsub_numsub("fm:wake")[0][1] == 1, "the worker listens")
    drain_worker(redis, worker.name)
    queue(redis, new("b", "nothing"))
    gate.touch()
    assert worker.join() == 0
    assert (status(redis, "a"), status(redis, "b")) == ("finished", "queued")


def test_a_worker_that_misses_the_command_sees_the_mark(redis: Redis, workers: Workers) -> None:
    worker = workers.start()
    eventually(lambda: redis.exists(f"rq:worker:{worker.name}"), "the worker is registered")
    redis.hset(f"rq:worker:{worker.name}", "fm_drain", "1")
    queue(redis, new("a", "nothing"))
    assert worker.join() == 0
    assert status(redis, "a") == "queued"


def test_draining_a_worker_that_is_not_there_says_so(redis: Redis) -> None:
    with pytest.raises(InputError, match="no worker named 'ghost'"):
        drain_worker(redis, "ghost")
    assert not redis.exists("rq:worker:ghost")


def test_the_pause_note_is_json(redis: Redis) -> None:
    pause_queue(redis, "stories", by="kim", reason='a "reason"')
    (note,) = redis.hvals("fm:paused")
    assert json.loads(note)["reason"] == 'a "reason"'
