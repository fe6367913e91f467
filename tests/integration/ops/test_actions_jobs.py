"""Requeue, cancel, delete, stop, repair: they leave what rq would leave, and change only what was seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from fixionmail.jobs.worker import JsonSerializer, enqueue_many
from fixionmail.ops import actions
from fixionmail.ops.actions import Hands
from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from tests.integration.ops.acting import act, repair, run
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import lines, new
from tests.integration.worker.servers import RedisServer
from tests.integration.worker.waiting import eventually
from tests.integration.worker.workers import Workers


class StockWorker(SimpleWorker):  # type: ignore[misc, unused-ignore]
    """rq's own worker, without signals."""

    death_penalty_class = TimerDeathPenalty


@pytest.fixture
def hands(
    redis: Redis, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hands]:
    """What is tested: hands on that server alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    opened = Hands(redis_url=server.url)
    yield opened
    opened.close()


def reports(redis: Redis) -> Queue:
    return Queue("reports", connection=redis)


def work_off(redis: Redis) -> None:
    StockWorker([reports(redis)], connection=redis).work(burst=True, logging_level="ERROR")


def failed(redis: Redis, *ids: str) -> None:
    for job_id in ids:
        reports(redis).enqueue(f"{HERE}.boom", job_id=job_id)
    work_off(redis)


def forgotten_by_its_dead_worker(redis: Any, job_id: str, *, lease: float = 1) -> None:
    """A started job whose worker is gone, long enough ago that only the lease names the run."""
    reports(redis).enqueue(f"{HERE}.nothing", job_id=job_id)
    redis.lrem("rq:queue:reports", 1, job_id)
    redis.hset(f"rq:job:{job_id}", mapping={"status": "started", "worker_name": "killed"})
    redis.zadd("rq:wip:reports", {f"{job_id}:{'e' * 32}": lease})


def record(redis: Any, job_id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = redis.hgetall(f"rq:job:{job_id}")
    return found


def keyspace(redis: Any) -> dict[bytes, bytes]:
    """Everything but what workers say of themselves."""
    return {key: redis.dump(key) for key in redis.scan_iter() if not key.startswith(b"rq:worker")}


def findings(reader: RedisReader) -> dict[str, tuple[str, ...]]:
    *_, last = audit(reader, sleep=lambda seconds: None)
    return {finding.kind: finding.subjects for finding in last.findings}


class TestRequeue:
    def test_leaves_what_rq_leaves(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "ours", "theirs")

        assert act(hands, "requeue", "ours") == {"ours": "done"}
        Job.fetch("theirs", connection=redis).requeue()

        ours, theirs = (Job.fetch(each, connection=redis) for each in ("ours", "theirs"))
        for name in ("origin", "started_at", "ended_at", "timeout", "func_name", "args", "failure_ttl"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert ours.get_status() == theirs.get_status() == "queued"
        assert reports(redis).job_ids == ["ours", "theirs"]
        assert FailedJobRegistry("reports", connection=redis).get_job_ids() == []
        assert record(redis, "ours").get(b"exc_info", b"") == b""

    def test_is_run_again_by_a_stock_worker(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "again")
        act(hands, "requeue", "again")
        work_off(redis)
        assert Job.fetch("again", connection=redis).get_status() == "failed"
        assert redis.xlen("rq:results:again") == 2

    def test_is_run_again_by_our_worker(
        self, redis: Redis, hands: Hands, workers: Workers, tmp_path: Path
    ) -> None:
        enqueue_many(redis, "stories", [new("again", "note", str(tmp_path / "notes"), "ran")])
        workers.start(burst=True).join()
        assert act(hands, "requeue", "again") == {"again": "done"}
        workers.start(burst=True).join()
        assert lines(tmp_path / "notes") == ["ran", "ran"]

    def test_does_not_touch_the_payload(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "pickled")
        before = record(redis, "pickled")
        act(hands, "requeue", "pickled")
        after = record(redis, "pickled")
        assert [after[field] for field in (b"data", b"created_at", b"description", b"timeout")] == [
            before[field] for field in (b"data", b"created_at", b"description", b"timeout")
        ]

    def test_keeps_a_job_whose_record_was_about_to_expire(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "old")
        redis.expire("rq:job:old", 500)
        act(hands, "requeue", "old")
        assert redis.ttl("rq:job:old") == -1

    def test_keeps_to_the_jobs_own_ttl(self, redis: Redis, hands: Hands) -> None:
        reports(redis).enqueue(f"{HERE}.boom", job_id="short", ttl=90)
        work_off(redis)
        act(hands, "requeue", "short")
        assert 80 < redis.ttl("rq:job:short") <= 90

    def test_takes_jobs_of_every_ended_or_resting_state(self, redis: Any, hands: Hands) -> None:
        failed(redis, "failed")
        queue = reports(redis)
        queue.enqueue(f"{HERE}.nothing", job_id="finished")
        work_off(redis)
        queue.enqueue_in(timedelta(hours=1), f"{HERE}.nothing", job_id="scheduled")
        queue.enqueue(f"{HERE}.nothing", job_id="canceled").cancel()
        queue.enqueue(f"{HERE}.nothing", job_id="deferred", depends_on="scheduled")
        queue.enqueue(f"{HERE}.nothing", job_id="ready", depends_on="scheduled")
        redis.hset("rq:job:ready", "status", "ready_to_enqueue")
        redis.zrem("rq:deferred:reports", "ready")
        redis.zadd("rq:ready:reports", {"ready": 1})
        states = ("failed", "finished", "scheduled", "canceled", "deferred", "ready")

        assert act(hands, "requeue", *states) == dict.fromkeys(states, "done")

        assert queue.job_ids == list(states)
        assert [key for state in states for key in redis.keys(f"rq:{state}:reports")] == []

    def test_passes_over_a_missing_record_and_goes_on(self, redis: Any, hands: Hands) -> None:
        failed(redis, "a", "b")
        redis.zadd("rq:failed:reports", {"gone": time.time()})
        assert act(hands, "requeue", "a", "gone", "b") == {"a": "done", "gone": "gone", "b": "done"}

    def test_passes_over_broken_records_and_goes_on(self, redis: Any, hands: Hands) -> None:
        failed(redis, "a")
        redis.rpush("rq:job:list", "garbage")
        redis.hset("rq:job:homeless", mapping={"status": "failed", "description": b"\xff\x00"})
        assert act(hands, "requeue", "list", "homeless", "a") == {
            "list": "broken",
            "homeless": "broken",
            "a": "done",
        }

    def test_leaves_alone_what_moved_on_after_the_preview(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "a", "b")
        previewed = actions.preview(hands, "requeue", ("a", "b"))
        Job.fetch("a", connection=redis).requeue()
        assert run(hands, previewed) == {"a": "moved on", "b": "done"}
        assert sorted(reports(redis).job_ids) == ["a", "b"]

    def test_leaves_alone_what_failed_a_second_time_after_the_preview(
        self, redis: Redis, hands: Hands
    ) -> None:
        failed(redis, "a")
        previewed = actions.preview(hands, "requeue", ("a",))
        Job.fetch("a", connection=redis).requeue()
        work_off(redis)
        assert run(hands, previewed) == {"a": "moved on"}

    def test_leaves_a_waiting_job_in_its_place(self, redis: Redis, hands: Hands) -> None:
        for job_id in ("first", "second"):
            reports(redis).enqueue(f"{HERE}.nothing", job_id=job_id)
        assert act(hands, "requeue", "first") == {"first": "queued"}
        assert reports(redis).job_ids == ["first", "second"]

    @pytest.mark.parametrize("limbo", [True, False])
    def test_leaves_a_job_alone_that_a_worker_has_just_taken(
        self, redis: Any, hands: Hands, limbo: bool
    ) -> None:
        reports(redis).enqueue(f"{HERE}.nothing", job_id="popped")
        previewed = actions.preview(hands, "requeue", ("popped",))
        redis.lpop("rq:queue:reports")
        if limbo:
            redis.rpush("rq:queue:reports:intermediate", "popped")
        assert run(hands, previewed) == {"popped": "taken"}
        assert redis.llen("rq:queue:reports") == 0

    def test_leaves_a_running_job_alone(
        self, redis: Redis, hands: Hands, workers: Workers, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        enqueue_many(redis, "stories", [new("runs", "careless", str(tmp_path / "notes"), str(gate))])
        workers.start()
        try:
            eventually(lambda: lines(tmp_path / "notes") == ["begun"], "it runs")
            for name in ("requeue", "cancel", "delete"):
                assert act(hands, name, "runs") == {"runs": "running"}
        finally:
            gate.touch()
        eventually(
            lambda: record(redis, "runs").get(b"status") == b"finished", "it ends as if nothing had been"
        )

    def test_takes_a_started_job_that_nobody_vouches_for(self, redis: Any, hands: Hands) -> None:
        reports(redis).enqueue(f"{HERE}.nothing", job_id="lost")
        redis.lpop("rq:queue:reports")
        redis.hset("rq:job:lost", mapping={"status": "started", "worker_name": "killed"})
        redis.zadd("rq:executions:lost", {"e" * 32: 1})
        redis.zadd("rq:wip:reports", {"lost:" + "e" * 32: 1})
        redis.sadd("rq:worker:killed:executions", "lost:" + "e" * 32)

        assert act(hands, "requeue", "lost") == {"lost": "done"}

        assert redis.lrange("rq:queue:reports", 0, -1) == [b"lost"]
        assert redis.keys("rq:wip:*") + redis.keys("rq:exec*") + redis.keys("rq:worker:*") == []

    def test_leaves_no_lease_of_a_dead_run_that_nothing_else_names_any_more(
        self, redis: Any, hands: Hands, reader: RedisReader
    ) -> None:
        forgotten_by_its_dead_worker(redis, "lost")

        assert act(hands, "requeue", "lost") == {"lost": "done"}

        assert redis.lrange("rq:queue:reports", 0, -1) == [b"lost"]
        assert findings(reader) == {}

    def test_leaves_a_job_alone_whose_run_only_its_lease_names(self, redis: Any, hands: Hands) -> None:
        forgotten_by_its_dead_worker(redis, "runs", lease=time.time() + 60)
        for name in ("requeue", "cancel", "delete"):
            assert act(hands, name, "runs") == {"runs": "running"}

    def test_two_operators_at_once_requeue_each_job_once(self, redis: Redis, server: RedisServer) -> None:
        ids = [f"j-{n}" for n in range(1000)]
        with redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hset(f"rq:job:{job_id}", mapping={"status": "failed", "origin": "reports"})
                pipeline.zadd("rq:failed:reports", {job_id: 1})
            pipeline.execute()
        meet, outcomes = Barrier(2), []

        def operate() -> None:
            hands = Hands(redis_url=server.url, prefix="rq")
            try:
                previewed = actions.preview(hands, "requeue", ids)
                meet.wait(10)
                outcomes.append(run(hands, previewed))
            finally:
                hands.close()

        threads = [Thread(target=operate) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(reports(redis).job_ids) == sorted(ids)
        for job_id in ids:
            assert sorted(outcome[job_id] for outcome in outcomes) == ["done", "moved on"]

    def test_works_under_any_prefix(self, redis: Any, server: RedisServer, hands: Hands) -> None:
        redis.hset("{shop}.x:job:a", mapping={"status": "failed", "origin": "mails"})
        redis.zadd("{shop}.x:failed:mails", {"a": 1})
        other = Hands(redis_url=server.url, prefix="{shop}.x")
        try:
            assert act(other, "requeue", "a") == {"a": "done"}
        finally:
            other.close()
        assert redis.lrange("{shop}.x:queue:mails", 0, -1) == [b"a"]
        assert set(redis.keys()) == {b"{shop}.x:job:a", b"{shop}.x:queue:mails", b"{shop}.x:queues"}

    def test_warns_of_jobs_that_had_begun(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "begun")
        reports(redis).enqueue(f"{HERE}.nothing", job_id="never-begun").cancel()
        (warning,) = actions.preview(hands, "requeue", ("begun", "never-begun")).warnings
        assert warning == "1 of these had begun before: what they did then, they may do again."
        assert actions.preview(hands, "requeue", ("never-begun",)).warnings == ()

    @pytest.mark.parametrize(
        ("function", "warned"),
        [("shop.tasks.send_email", True), ("shop.smtp.deliver", True), ("shop.tasks.resize", False)],
    )
    def test_says_that_it_cannot_know_whether_a_mail_of_somebody_elses_has_gone_out(
        self, redis: Redis, hands: Hands, function: str, warned: bool
    ) -> None:
        for job_id in ("begun", "waiting"):
            reports(redis).enqueue(function, "a@example.com", job_id=job_id)
            if job_id == "begun":
                work_off(redis)
        warnings = actions.preview(hands, "requeue", ("begun", "waiting")).warnings
        assert warnings[1:] == (
            ("1 of those look like mail, and nothing here says whether it went out: it may go out twice.",)
            if warned
            else ()
        )


class TestCancel:
    @pytest.mark.parametrize("state", ["queued", "scheduled", "deferred", "failed"])
    def test_leaves_what_rq_leaves(self, redis: Any, hands: Hands, state: str) -> None:
        queue = reports(redis)
        for job_id in ("ours", "theirs"):
            match state:
                case "queued":
                    queue.enqueue(f"{HERE}.nothing", job_id=job_id)
                case "scheduled":
                    queue.enqueue_in(timedelta(hours=1), f"{HERE}.nothing", job_id=job_id)
                case "deferred":
                    queue.enqueue(f"{HERE}.nothing", job_id=job_id, depends_on=f"parent-of-{job_id}")
                case _:
                    failed(redis, job_id)

        assert act(hands, "cancel", "ours") == {"ours": "done"}
        Job.fetch("theirs", connection=redis).cancel()

        assert set(redis.zrange("rq:canceled:reports", 0, -1)) == {b"ours", b"theirs"}
        assert redis.keys(f"rq:{state}:reports") + redis.keys("rq:queue:reports") == []
        ours, theirs = record(redis, "ours"), record(redis, "theirs")
        assert ours[b"status"] == theirs[b"status"] == b"canceled"
        assert set(ours) == set(theirs)

    def test_a_canceled_job_is_not_run_and_can_be_requeued(self, redis: Redis, hands: Hands) -> None:
        reports(redis).enqueue(f"{HERE}.nothing", job_id="a")
        act(hands, "cancel", "a")
        work_off(redis)
        assert Job.fetch("a", connection=redis).get_status() == "canceled"
        act(hands, "requeue", "a")
        work_off(redis)
        assert Job.fetch("a", connection=redis).get_status() == "finished"

    def test_what_has_ended_is_left_as_it_is(self, redis: Redis, hands: Hands) -> None:
        reports(redis).enqueue(f"{HERE}.nothing", job_id="a")
        work_off(redis)
        assert act(hands, "cancel", "a", "nobody") == {"a": "ended", "nobody": "gone"}
        assert Job.fetch("a", connection=redis).get_status() == "finished"

    def test_warns_of_those_that_wait_for_it(self, redis: Redis, hands: Hands) -> None:
        queue = reports(redis)
        for job_id, parent in (("parent", None), ("one", "parent"), ("two", "parent"), ("three", "one")):
            queue.enqueue(f"{HERE}.nothing", job_id=job_id, depends_on=parent)
        for name in ("cancel", "delete"):
            assert actions.preview(hands, name, ("parent", "two")).warnings == (
                "2 jobs wait for one of these, and will for ever.",
            )
            assert actions.preview(hands, name, ("one",)).warnings == (
                "1 job waits for one of these, and will for ever.",
            )
            assert actions.preview(hands, name, ("two", "three")).warnings == ()


class TestDelete:
    def test_leaves_nothing_of_a_job_and_nothing_else_undone(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "other")
        before = keyspace(redis)
        queue = reports(redis)
        queue.enqueue(f"{HERE}.nothing", job_id="parent")
        queue.enqueue(f"{HERE}.nothing", job_id="child", depends_on="parent")
        queue.enqueue(f"{HERE}.nothing", job_id="canceled").cancel()
        ids = ("parent", "child", "canceled")

        assert act(hands, "delete", *ids) == dict.fromkeys(ids, "done")

        assert keyspace(redis) == before

    def test_removes_what_failed_with_its_results(self, redis: Redis, hands: Hands) -> None:
        failed(redis, "a")
        assert act(hands, "delete", "a") == {"a": "done"}
        assert [key for key in redis.scan_iter() if b":a" in key] == []
        assert redis.zcard("rq:failed:reports") == 0


class TestStop:
    def test_a_running_job_is_stopped_by_its_worker(
        self, redis: Redis, hands: Hands, workers: Workers, tmp_path: Path
    ) -> None:
        enqueue_many(redis, "stories", [new("runs", "careful", str(tmp_path / "notes"), 60)])
        workers.start()
        eventually(lambda: lines(tmp_path / "notes") == ["begun"], "it runs")
        assert act(hands, "stop-job", "runs") == {"runs": "asked"}
        eventually(lambda: record(redis, "runs")[b"status"] == b"stopped", "it is stopped")
        assert redis.zrange("rq:failed:stories", 0, -1) == [b"runs"]

    def test_what_does_not_run_is_told_apart(self, redis: Any, hands: Hands) -> None:
        reports(redis).enqueue(f"{HERE}.nothing", job_id="waits")
        redis.hset("rq:job:orphan", mapping={"status": "started", "worker_name": "killed"})
        assert act(hands, "stop-job", "waits", "orphan", "nobody") == {
            "waits": "not running",
            "orphan": "nobody listens",
            "nobody": "gone",
        }


class TestRepair:
    def test_of_all_that_the_audit_finds_leaves_nothing_to_find(
        self, redis: Any, hands: Hands, reader: RedisReader
    ) -> None:
        failed(redis, "waiting-and-failed", "failed-and-finished")
        queue = reports(redis)
        for job_id in ("lost", "twice", "both", "wrong", "deleted", "stale", "kept"):
            queue.enqueue(f"{HERE}.nothing", job_id=job_id)
        redis.lrem("rq:queue:reports", 1, "lost")
        redis.rpush("rq:queue:reports", "twice", "waiting-and-failed")
        redis.zadd("rq:failed:reports", {"both": 1, "expired": 1})
        redis.zadd("rq:finished:reports", {"failed-and-finished": time.time() + 60})
        redis.hset("rq:job:wrong", "status", "finished")
        redis.delete("rq:job:deleted")
        redis.lrem("rq:queue:reports", 1, "stale")
        redis.hset("rq:job:stale", "status", "started")
        redis.zadd("rq:executions:stale", {"1" * 32: 1})
        redis.zadd("rq:wip:reports", {"stale:" + "1" * 32: 1, "vanished:" + "2" * 32: time.time() + 60})
        redis.sadd("rq:workers", "rq:worker:killed")
        redis.sadd("rq:worker:killed:executions", "orphan:" + "0" * 32)
        named = findings(reader)
        assert len(named) == 8

        outcomes = repair(hands, sorted({each for ids in named.values() for each in ids}))

        assert findings(reader) == {}
        assert "undecided" not in outcomes.values()
        assert sorted(queue.job_ids) == ["both", "kept", "lost", "stale", "twice"]

    def test_leaves_no_lease_of_a_dead_run_that_nothing_else_names_any_more(
        self, redis: Any, hands: Hands, reader: RedisReader
    ) -> None:
        forgotten_by_its_dead_worker(redis, "lost")

        assert repair(hands, ["lost"]) == {"lost": "requeued"}

        assert redis.lrange("rq:queue:reports", 0, -1) == [b"lost"]
        assert findings(reader) == {}

    @pytest.mark.parametrize("status", ["queued", "failed"])
    def test_takes_the_lease_of_a_dead_run_from_a_job_that_has_moved_on(
        self, redis: Any, hands: Hands, reader: RedisReader, status: str
    ) -> None:
        failed(redis, "moved-on")
        if status == "queued":
            act(hands, "requeue", "moved-on")
        redis.zadd("rq:wip:reports", {"moved-on:" + "e" * 32: 1})

        assert repair(hands, ["moved-on"]) == {"moved-on": "kept"}

        assert record(redis, "moved-on")[b"status"] == status.encode()
        assert findings(reader) == {}

    def test_takes_the_lease_of_a_dead_run_from_a_job_that_runs_again(self, redis: Any, hands: Hands) -> None:
        forgotten_by_its_dead_worker(redis, "again")
        redis.zadd("rq:wip:reports", {"again:" + "f" * 32: time.time() + 60})

        assert repair(hands, ["again"]) == {"again": "kept"}

        assert redis.zrange("rq:wip:reports", 0, -1) == [b"again:" + b"f" * 32]

    def test_of_a_job_that_waits_or_has_ended_while_somebody_runs_it_says_so(
        self, redis: Any, hands: Hands
    ) -> None:
        failed(redis, "ended")
        reports(redis).enqueue(f"{HERE}.nothing", job_id="waits")
        run = "e" * 32
        redis.zadd("rq:wip:reports", dict.fromkeys((f"ended:{run}", f"waits:{run}"), time.time() + 60))

        assert repair(hands, ["ended", "waits"]) == {"ended": "running", "waits": "running"}

    @pytest.mark.parametrize("job_id", [b"\xff\xfe", b"caf\xc3\xa9-\xe9", b"a:b:c", b"\xff:\xfe"])
    @pytest.mark.parametrize(
        "key", ["rq:queue:reports", "rq:queue:reports:intermediate", "rq:failed:reports"]
    )
    def test_removes_entries_whose_ids_are_none_of_rqs(
        self, redis: Any, hands: Hands, reader: RedisReader, job_id: bytes, key: str
    ) -> None:
        reports(redis).enqueue(f"{HERE}.nothing", job_id="even")
        if key.startswith("rq:queue:"):
            redis.rpush(key, job_id)
        else:
            redis.zadd(key, {job_id: 1})
        (named,) = findings(reader)["entry-without-record"]

        assert repair(hands, [named]) == {named: "removed"}

        assert findings(reader) == {}
        assert reports(redis).job_ids == ["even"]

    def test_of_a_queue_finds_lost_jobs_whatever_their_ids_are(self, redis: Any, hands: Hands) -> None:
        redis.sadd("rq:queues", "rq:queue:reports")
        redis.rpush("rq:queue:reports:intermediate", b"\xff\xfe", "a:b:c")

        assert repair(hands, ["reports"]) == {"\\xff\\xfe": "removed", "a:b:c": "removed"}

    def test_leaves_an_execution_alone_that_a_lease_stands_behind(self, redis: Any, hands: Hands) -> None:
        run = "runs:" + "e" * 32
        forgotten_by_its_dead_worker(redis, "runs", lease=time.time() + 60)
        redis.hset(f"rq:execution:{run}", "worker_name", "w")

        assert repair(hands, [run]) == {run: "sound"}

        assert redis.exists(f"rq:execution:{run}", "rq:wip:reports") == 2

    def test_of_what_a_real_rq_2_left_puts_the_job_in_limbo_back(
        self, old_deployment: Any, hands: Hands, reader: RedisReader
    ) -> None:
        assert repair(hands, ["mails"]) == {"waiting": "requeued"}
        assert old_deployment.lrange("rq:queue:mails", 0, -1) == [b"next", b"waiting"]
        assert findings(reader) == {}

    def test_leaves_a_job_alone_that_its_worker_starts_in_the_meantime(
        self, redis: Any, hands: Hands
    ) -> None:
        reports(redis).enqueue(f"{HERE}.nothing", job_id="popped")
        redis.lmove("rq:queue:reports", "rq:queue:reports:intermediate", "LEFT", "RIGHT")
        previewed = actions.preview(hands, "repair-redis", ("reports",))
        redis.hset("rq:job:popped", mapping={"status": "started", "worker_name": "w"})
        redis.zadd("rq:executions:popped", {"e" * 32: time.time() + 60})
        redis.zadd("rq:wip:reports", {"popped:" + "e" * 32: time.time() + 60})

        began = time.monotonic()
        outcome = run(hands, previewed)

        assert outcome == {"popped": "kept"}
        assert time.monotonic() - began > 3, "it waits until every worker has started what it popped"
        assert redis.llen("rq:queue:reports") == 0

    def test_of_what_is_sound_changes_nothing(self, old_deployment: Any, hands: Hands) -> None:
        before = keyspace(old_deployment)
        ids = ["next", "later", "second", "broken", "sum", "unwanted", "first", "busy-worker", "nobody"]
        assert repair(hands, ids) == dict.fromkeys(ids, "sound")
        assert keyspace(old_deployment) == before


class TestOnWhatRq2Left:
    def test_every_job_gets_an_outcome_and_redis_stays_sound(
        self, old_deployment: Any, hands: Hands, reader: RedisReader
    ) -> None:
        ids = ("broken", "sum", "later", "unwanted", "second", "first", "next", "waiting")

        assert act(hands, "requeue", *ids) == {
            **dict.fromkeys(("broken", "sum", "later", "unwanted", "second"), "done"),
            "first": "running",
            "next": "queued",
            "waiting": "taken",
        }

        assert old_deployment.lrange("rq:queue:mails", 0, -1) == [
            b"next",
            b"broken",
            b"sum",
            b"later",
            b"unwanted",
        ]
        assert findings(reader) == {"never-started": ("waiting",)}

    def test_deleting_all_that_rests_leaves_the_running_one(
        self, old_deployment: Any, hands: Hands, reader: RedisReader
    ) -> None:
        ids = ("broken", "sum", "later", "tomorrow", "unwanted", "next", "waiting", "second")
        assert act(hands, "delete", *ids, "first") == {**dict.fromkeys(ids, "done"), "first": "running"}
        assert set(old_deployment.keys("rq:job:*")) == {b"rq:job:first", b"rq:job:first:dependents"}
        assert findings(reader) == {}


def test_a_json_job_stays_readable_for_its_serializer(redis: Redis, hands: Hands) -> None:
    enqueue_many(redis, "stories", [new("a", "add", 1, 2)])
    act(hands, "cancel", "a")
    act(hands, "requeue", "a")
    assert Job.fetch("a", connection=redis, serializer=JsonSerializer).args == [1, 2]
