"""Jobs whose dependency has succeeded and that RQ 3 was about to queue: one of its workers is killed right then."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from fixionmail.ops import why
from fixionmail.ops.actions import Hands
from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.filters import parse
from fixionmail.ops.job_detail import detail
from fixionmail.ops.pages import page
from fixionmail.ops.redis_look import look
from fixionmail.ops.search import search
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.jobs import JobDetail
from tests.drills.stock import Gate, StockRq, kill
from tests.integration.ops.acting import act, repair
from tests.integration.worker.jobs import status
from tests.integration.worker.servers import RedisServer

STATUS = b"ready_to_enqueue"


@pytest.fixture
def ready(redis: Redis, server: RedisServer) -> Queue:
    """The queue of such a job."""
    queue = Queue("imports", connection=redis)
    first = queue.enqueue(time.time, job_id="first")
    queue.enqueue(time.time, job_id="a-job", depends_on=first)
    with Gate(server.url, after=STATUS) as gate, StockRq().worker(gate.url, "imports") as worker:
        gate.wait_until_shut()
        kill(worker)
    assert status(redis, "a-job") == STATUS.decode()
    return queue


def asked(server: RedisServer) -> JobDetail:
    with closing(Observer(redis_url=server.url)) as observer:
        found = why.ask(observer, "a-job")
    assert found is not None
    return found


def findings(reader: RedisReader) -> dict[str, tuple[str, ...]]:
    *_, last = audit(reader)
    return {finding.kind: finding.subjects for finding in last.findings if "a-job" in finding.subjects}


def test_it_is_a_state_that_is_counted_listed_found_and_shown(ready: Queue, reader: RedisReader) -> None:
    assert [(queue.name, queue.ready) for queue in look(reader).queues] == [("imports", 1)]
    shown = page(reader, states=("ready",))
    assert ([(row.job_id, row.state, row.queue) for row in shown.rows], shown.total) == (
        [("a-job", "ready", "imports")],
        1,
    )
    steps = search(reader, parse("state:ready id:a-job"), shown.rows[0].at)
    assert [row.job_id for step in steps for row in step.rows] == ["a-job"]
    job = detail(reader, "a-job")
    assert job is not None
    assert (job.state, job.places) == ("ready", ("ready on imports",))


def test_the_audit_takes_it_for_sound(ready: Queue, reader: RedisReader, server: RedisServer) -> None:
    assert findings(reader) == {}
    with closing(Hands(redis_url=server.url)) as hands:
        assert repair(hands, ["a-job"]) == {"a-job": "sound"}


def test_why_it_does_not_run_is_told_and_it_is_queued_by_the_cure(
    redis: Redis, ready: Queue, server: RedisServer
) -> None:
    job = asked(server)

    assert job.why[-1].startswith("What it waited for has succeeded, and it is not queued yet.")
    wait, cure = job.cures[-2:]
    assert "when it cleans up" in wait.automatic
    with closing(Hands(redis_url=server.url)) as hands:
        assert act(hands, cure.action, *cure.targets) == {"a-job": "done"}
    assert ready.job_ids == ["a-job"]
    assert redis.zcard("rq:ready:imports") == 0


def test_a_worker_that_starts_queues_it_as_is_told(redis: Redis, ready: Queue, server: RedisServer) -> None:
    StockRq().work_off(server.url, "imports")
    assert status(redis, "a-job") == "finished"


def test_one_that_no_registry_holds_is_lost_named_and_put_back(
    redis: Any, ready: Queue, reader: RedisReader, server: RedisServer
) -> None:
    redis.zrem("rq:ready:imports", "a-job")

    assert findings(reader) == {"record-without-entry": ("a-job",)}
    job = asked(server)
    assert job.why[-1].endswith("no registry holds it.")
    assert job.cures[-1].action == "repair-redis"
    with closing(Hands(redis_url=server.url)) as hands:
        assert repair(hands, ["a-job"]) == {"a-job": "requeued"}
    assert ready.job_ids == ["a-job"]
    assert findings(reader) == {}
