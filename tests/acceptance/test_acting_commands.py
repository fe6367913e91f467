"""The commands that change jobs, queues, workers, the scheduler and the mail line, as an operator meets them."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from fixionmail.jobs.worker import keys
from tests.acceptance.conftest import Fixionmail, Operator
from tests.commands import command, environment, run, run_at_terminal, until
from tests.contract.store.world import World
from tests.integration.worker.servers import RedisServer, free_port


def failed(redis: Any, *ids: str) -> None:
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.sadd("rq:queues", "rq:queue:reports")
        for job_id in ids:
            pipeline.hset(f"rq:job:{job_id}", mapping={"status": "failed", "origin": "reports"})
            pipeline.zadd("rq:failed:reports", {job_id: 1})
        pipeline.execute()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(redis: Any, operate: Operator) -> None:
    failed(redis, "a", "b")
    redis.sadd("rq:job:a:dependents", "c")
    ended = operate("jobs", "delete", "a", "b", "--dry-run", "--json")
    assert ended.code == 0, ended
    document = ended.json()
    assert (document["schema"], document["action"], document["count"]) == (1, "delete", 2)
    assert document["command"] == "fixionmail jobs delete a b"
    assert document["warnings"] == ["1 job waits for one of these, and will for ever."]
    assert redis.zcard("rq:failed:reports") == 2
    assert operate.on_record == ""


def test_a_script_is_told_of_the_warnings_and_who_is_asked_sees_the_preview(
    redis: Any, operate: Operator
) -> None:
    failed(redis, "a")
    redis.sadd("rq:job:a:dependents", "c")
    delete = ("jobs", "delete", "a", "--json", "--redis-url", operate.url)
    asked = run_at_terminal(operate.home, "n", *delete, XDG_STATE_HOME=str(operate.home))
    assert "Warning: 1 job waits for one of these, and will for ever." in asked.err

    ended = operate("jobs", "delete", "a", "--json", "--yes")
    assert ended.json()["warnings"] == ["1 job waits for one of these, and will for ever."]
    assert ended.err == ""


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
        ("jobs", "delete", "--all-matching", '""', "--yes"),
        ("queues", "pause", "", "--yes"),
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


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("y", 0)])
def test_somebody_at_a_terminal_is_asked(redis: Any, operate: Operator, answer: str, left: int) -> None:
    failed(redis, "a")
    delete = ("jobs", "delete", "a", "--redis-url", operate.url)
    ended = run_at_terminal(operate.home, answer, *delete, XDG_STATE_HOME=str(operate.home))
    assert "Delete: 1 in all? [y/N]" in ended.err
    assert redis.zcard("rq:failed:reports") == left


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_who_is_interrupted_says_what_is_done_and_the_same_command_does_the_rest(
    redis: Any, operate: Operator, number: signal.Signals, code: int
) -> None:
    failed(redis, *(f"j-{n}" for n in range(500)))
    operate.home.mkdir()
    arguments = ("jobs", "requeue", "--all-matching", "state:failed", "--yes", "--redis-url", operate.url)
    process = subprocess.Popen(
        command(*arguments, "--rate", "50"),
        env=environment(operate.home, XDG_STATE_HOME=str(operate.home)),
        cwd=operate.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: redis.llen("rq:queue:reports") >= 50, "the first are done")
    process.send_signal(number)
    _, said = process.communicate(timeout=30)

    done = redis.llen("rq:queue:reports")
    assert process.returncode == code
    assert f"Interrupted: {done} are done and on record. The same command does the rest." in said
    assert f'"done": {done}' in operate.on_record

    assert operate(*arguments[:-2]).code == 0
    assert redis.llen("rq:queue:reports") == 500


def test_a_redis_that_goes_away_midway_leaves_the_outcomes_so_far_told(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    with Redis.from_url(server.url) as redis:
        failed(redis, *(f"j-{n}" for n in range(500)))
        target = ("--all-matching", "state:failed", "--redis-url", server.url)
        process = subprocess.Popen(
            command("jobs", "requeue", *target, "--yes", "--json", "--rate", "50"),
            env=environment(tmp_path, XDG_STATE_HOME=str(tmp_path)),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(
            lambda: redis.llen("rq:queue:reports") > 50,
            "the first are done and known to be, and others begun",
        )
        server.kill()
    out, said = process.communicate(timeout=30)

    document = json.loads(out)
    assert process.returncode == 4
    assert document["outcomes"]["done"] == len(document["targets"]) >= 50
    assert f"Interrupted: {len(document['targets'])} are done and on record." in said


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
    def test_the_scheduler_is_paused_and_resumed(self, world: World, fixionmail: Fixionmail) -> None:
        for verb, is_on in (("pause", True), ("pause", True), ("resume", False)):
            ended = fixionmail("scheduler", verb, "--yes", "--reason", "a move")
            assert ended.code == 0, ended
            assert world.value("select switch_is_on_v1('scheduler_paused')") is is_on
        assert {"pause-scheduler", "resume-scheduler"} <= {row["action"] for row in world.audit()}

    def test_a_line_that_stands_still_is_opened(self, world: World, fixionmail: Fixionmail) -> None:
        world.line.outlook(max_size=1)
        world.change(
            "update send_lines set paused_until = now() + interval '1 hour', paused_reason = 'quota'"
        )
        ended = fixionmail("db", "open-line", "resend", "pigeons", "--yes", "--json")
        assert (ended.code, ended.json()["outcomes"]) == (3, {"ok": 1, "gone": 1})
        assert world.value("select paused_until < now() from send_lines")
        assert fixionmail("db", "open-line").code == 2
