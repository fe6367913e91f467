"""The commands that change jobs, queues, workers, the scheduler and the mail line, as an operator meets them."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from fixionmail.jobs.worker import keys
from fixionmail.store import Store
from tests.commands import Ended, command, environment, run, until
from tests.contract.store.world import World
from tests.integration.worker.servers import RedisServer, free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Any]:
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client


class Operator:
    """Runs a command against the server, with a home and a place for records of its own."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url

    def __call__(self, *arguments: str) -> Ended:
        return run(self.home, *arguments, "--redis-url", self.url, XDG_STATE_HOME=str(self.home))

    @property
    def on_record(self) -> str:
        path = self.home / "fixionmail" / "audit.jsonl"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def operate(redis: Any, server: RedisServer, tmp_path: Path) -> Operator:
    return Operator(tmp_path / "home", server.url)


def failed(redis: Any, *ids: str) -> None:
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.sadd("rq:queues", "rq:queue:reports")
        for job_id in ids:
            pipeline.hset(f"rq:job:{job_id}", mapping={"status": "failed", "origin": "reports"})
            pipeline.zadd("rq:failed:reports", {job_id: 1})
        pipeline.execute()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(redis: Any, operate: Operator) -> None:
    failed(redis, "a", "b")
    ended = operate("jobs", "delete", "a", "b", "--dry-run", "--json")
    assert ended.code == 0, ended
    document = ended.json()
    assert (document["schema"], document["action"], document["count"]) == (1, "delete", 2)
    assert document["command"] == "fixionmail jobs delete a b"
    assert document["warnings"] == ["Jobs that wait for one of these will wait for ever."]
    assert redis.zcard("rq:failed:reports") == 2
    assert operate.on_record == ""


def test_everything_that_matches_is_done_and_each_outcome_told(redis: Any, operate: Operator) -> None:
    failed(redis, "a", "b", "c")
    ended = operate("jobs", "requeue", "--all-matching", "state:failed", "--yes", "--json", "--reason", "why")
    assert ended.code == 0, ended
    assert ended.json()["outcomes"] == {"done": 3}
    assert {row["target"]: row["outcome"] for row in ended.json()["targets"]} == dict.fromkeys("abc", "done")
    assert redis.llen("rq:queue:reports") == 3
    assert '"reason": "why"' in operate.on_record


def test_partly_done_is_3_and_nothing_done_is_1(redis: Any, operate: Operator) -> None:
    failed(redis, "a")
    partly = operate("jobs", "requeue", "a", "nobody", "--yes")
    assert (partly.code, "nobody" in partly.out, "gone" in partly.out) == (3, True, True)
    assert operate("jobs", "requeue", "nobody", "--yes").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "requeue"),
        ("jobs", "requeue", "--all-matching", "", "--yes"),
        ("jobs", "requeue", "--all-matching", "state:nowhere", "--yes"),
        ("jobs", "requeue", "a", "--all-matching", "state:failed", "--yes"),
        ("jobs", "delete", "a"),
        ("jobs", "stop"),
        ("queues", "pause"),
        ("workers", "drain"),
    ],
)
def test_what_is_unclear_or_nobody_agreed_to_is_2_and_changes_nothing(
    redis: Any, operate: Operator, arguments: tuple[str, ...]
) -> None:
    failed(redis, "a")
    ended = operate(*arguments)
    assert (ended.code, ended.out) == (2, ""), ended
    assert ended.err
    assert redis.zcard("rq:failed:reports") == 1


def test_a_redis_that_is_away_is_4(tmp_path: Path) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}"
    ended = run(tmp_path, "jobs", "requeue", "a", "--yes", "--redis-url", url)
    assert ended.code == 4
    assert "Nothing listens at" in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", 1), (b"y\n", 0)])
def test_somebody_at_a_terminal_is_asked(
    redis: Any, server: RedisServer, tmp_path: Path, answer: bytes, left: int
) -> None:
    failed(redis, "a")
    main, other = pty.openpty()
    try:
        process = subprocess.Popen(
            command("jobs", "delete", "a", "--redis-url", server.url),
            env=environment(tmp_path, XDG_STATE_HOME=str(tmp_path)),
            cwd=tmp_path,
            stdin=other,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.write(main, answer)
        _, said = process.communicate(timeout=60)
    finally:
        os.close(main)
        os.close(other)
    assert b"Delete: 1 in all" in said
    assert redis.zcard("rq:failed:reports") == left


def test_ctrl_c_says_what_is_done_and_the_same_command_does_the_rest(
    redis: Any, server: RedisServer, operate: Operator
) -> None:
    failed(redis, *(f"j-{n}" for n in range(500)))
    operate.home.mkdir()
    arguments = ("jobs", "requeue", "--all-matching", "state:failed", "--yes", "--redis-url", server.url)
    process = subprocess.Popen(
        command(*arguments, "--rate", "50"),
        env=environment(operate.home, XDG_STATE_HOME=str(operate.home)),
        cwd=operate.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: redis.llen("rq:queue:reports") >= 50, "the first are done")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    done = redis.llen("rq:queue:reports")
    assert process.returncode == 130
    assert f"Interrupted: {done} are done and on record. The same command does the rest." in said
    assert f'"done": {done}' in operate.on_record

    assert operate(*arguments[:-2]).code == 0
    assert redis.llen("rq:queue:reports") == 500


def test_a_hostile_id_cannot_steer_the_terminal(redis: Any, operate: Operator) -> None:
    redis.hset("rq:job:x", mapping={"status": "failed", "origin": "q", "description": "\x1b[31m[red]\x07"})
    ended = operate("jobs", "requeue", "x", "\x1b]0;evil\x07", "--yes")
    assert ended.code == 3
    assert not {"\x1b", "\x07"} & set(ended.out + ended.err)


def test_another_prefix_is_kept_to(redis: Any, operate: Operator) -> None:
    redis.hset("shop:job:a", mapping={"status": "failed", "origin": "q"})
    assert operate("jobs", "requeue", "a", "--yes", "--key-prefix", "shop").code == 0
    assert redis.lrange("shop:queue:q", 0, -1) == [b"a"]


def test_queues_are_paused_and_workers_rested_and_woken(redis: Any, operate: Operator) -> None:
    assert operate("queues", "pause", "stories", "--yes", "--reason", "full").code == 0
    assert b"full" in redis.hget(keys.PAUSED, "stories")
    assert operate("queues", "resume", "stories", "--yes").code == 0
    assert operate("workers", "suspend", "--yes").code == 0
    assert redis.exists("rq:suspended")
    assert operate("workers", "resume", "--yes").code == 0
    assert not redis.exists("rq:suspended")
    assert operate("workers", "drain", "nobody", "--yes").code == 1


def test_a_repair_of_what_the_audit_names_leaves_it_silent(redis: Any, operate: Operator) -> None:
    failed(redis, "sound")
    redis.hset("rq:job:lost", mapping={"status": "queued", "origin": "reports"})
    named = [
        each for finding in operate("audit", "--json").json()["findings"] for each in finding["subjects"]
    ]
    assert named == ["lost"]
    assert operate("jobs", "repair", *named, "--yes").code == 0
    assert operate("audit").code == 0


class TestWithADatabase:
    @pytest.fixture
    def world(self, direct_store: Store, database_url: str) -> Iterator[World]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            yield World(direct_store, connection)

    def test_the_scheduler_is_paused_and_resumed(
        self, world: World, database_url: str, tmp_path: Path
    ) -> None:
        for verb, is_on in (("pause", True), ("pause", True), ("resume", False)):
            ended = run(tmp_path, "scheduler", verb, "--yes", "--reason", "a move", DATABASE_URL=database_url)
            assert ended.code == 0, ended
            assert world.value("select switch_is_on_v1('scheduler_paused')") is is_on
        assert {"pause-scheduler", "resume-scheduler"} <= {row["action"] for row in world.audit()}

    def test_a_line_that_stands_still_is_opened(
        self, world: World, database_url: str, tmp_path: Path
    ) -> None:
        world.line.outlook(max_size=1)
        world.change(
            "update send_lines set paused_until = now() + interval '1 hour', paused_reason = 'quota'"
        )
        ended = run(
            tmp_path, "db", "open-line", "resend", "pigeons", "--yes", "--json", DATABASE_URL=database_url
        )
        assert (ended.code, ended.json()["outcomes"]) == (3, {"ok": 1, "gone": 1})
        assert world.value("select paused_until < now() from send_lines")
        assert run(tmp_path, "db", "open-line", DATABASE_URL=database_url).code == 2
