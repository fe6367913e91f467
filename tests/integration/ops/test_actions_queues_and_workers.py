"""Closing queues, resting all workers, and sending single ones home: ours and rq's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.suspension import is_suspended
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from fixionmail.jobs.worker import enqueue_many, paused_queues
from fixionmail.ops import actions
from fixionmail.ops.actions import Hands
from tests.integration.ops.acting import act
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import lines, new, status
from tests.integration.worker.servers import RedisServer
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


class StockWorker(SimpleWorker):  # type: ignore[misc, unused-ignore]
    """rq's own worker, for a test's thread."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        """Only the main thread may."""


@pytest.fixture
def hands(
    redis: Redis, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hands]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with closing(Hands(redis_url=server.url)) as opened:
        yield opened


def test_a_paused_queue_rests_and_the_others_go_on(redis: Redis, hands: Hands, workers: Workers) -> None:
    assert act(hands, "pause-queue", "stories") == {"stories": "done"}
    (pause,) = paused_queues(redis)
    assert (pause.queue, pause.by, pause.reason) == ("stories", "ada", "a test")
    workers.start()
    enqueue_many(redis, "stories", [new("rests", "nothing")])
    enqueue_many(redis, "emails", [new("runs", "nothing")])
    eventually(lambda: status(redis, "runs") == "finished", "the other queue goes on")
    assert status(redis, "rests") == "queued"

    assert act(hands, "resume-queue", "stories") == {"stories": "done"}

    eventually(lambda: status(redis, "rests") == "finished", "the worker is woken")
    assert act(hands, "resume-queue", "stories") == {"stories": "already"}


def test_a_queue_that_nobody_knows_is_said_before_it_is_paused(redis: Redis, hands: Hands) -> None:
    enqueue_many(redis, "stories", [new("a", "nothing")])
    warnings = actions.preview(hands, "pause-queue", ("stories", "emial")).warnings
    assert "No job was ever put on emial." in warnings


def test_who_heeds_a_pause_or_a_drain_is_said(redis: Redis, hands: Hands) -> None:
    enqueue_many(redis, "stories", [new("a", "nothing")])
    for name in ("pause-queue", "drain-worker"):
        assert actions.preview(hands, name, ("stories",)).warnings == (
            "Only workers of FixionMail heed this; RQ's own go on taking jobs.",
        )


def test_suspending_is_what_rq_calls_so(redis: Redis, hands: Hands, workers: Workers) -> None:
    workers.start()
    assert act(hands, "suspend-workers") == {"all workers": "done"}
    assert is_suspended(redis)
    enqueue_many(redis, "stories", [new("rests", "nothing")])
    Queue("reports", connection=redis).enqueue(f"{HERE}.nothing", job_id="rests-too")
    StockWorker([Queue("reports", connection=redis)], connection=redis).work(burst=True)
    assert (status(redis, "rests"), status(redis, "rests-too")) == ("queued", "queued")

    assert act(hands, "resume-workers") == {"all workers": "done"}

    assert not is_suspended(redis)
    eventually(lambda: status(redis, "rests") == "finished", "our worker is woken")


def test_a_drained_worker_finishes_what_it_runs_and_ends(
    redis: Redis, hands: Hands, workers: Workers, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    enqueue_many(redis, "stories", [new("runs", "careless", str(tmp_path / "notes"), str(gate))])
    worker = workers.start(drain_seconds=0.1)
    eventually(lambda: lines(tmp_path / "notes") == ["begun"], "it runs")

    assert act(hands, "drain-worker", worker.name, "nobody") == {worker.name: "asked", "nobody": "gone"}

    enqueue_many(redis, "stories", [new("too-late", "nothing")])
    gate.touch()
    assert worker.join() == 0
    assert (status(redis, "runs"), status(redis, "too-late")) == ("finished", "queued")


def test_a_stopped_worker_of_ours_ends(hands: Hands, redis: Redis, workers: Workers) -> None:
    worker = workers.start()
    eventually(lambda: redis.pubsub_numsub(f"rq:pubsub:{worker.name}")[0][1] == 1, "it listens")
    assert act(hands, "stop-worker", worker.name, "nobody") == {
        worker.name: "asked",
        "nobody": "nobody listens",
    }
    assert worker.join() == 0


def test_a_stopped_worker_of_rqs_own_is_told_in_its_own_words(redis: Any, hands: Hands) -> None:
    heard = redis.pubsub(ignore_subscribe_messages=True)
    said = threading.Event()
    heard.subscribe("rq:pubsub:stock")
    eventually(lambda: redis.pubsub_numsub("rq:pubsub:stock")[0][1] == 1, "somebody listens")

    assert act(hands, "stop-worker", "stock") == {"stock": "asked"}

    def parsed() -> bool:
        message = heard.get_message(timeout=0.1)
        if message and b"shutdown" in message["data"]:
            from rq.command import parse_payload

            assert parse_payload(message)["command"] == "shutdown"
            said.set()
        return said.is_set()

    eventually(parsed, "rq reads it as its own command")
    heard.close()
