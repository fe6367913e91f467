"""``jobs``, ``queues``, ``workers`` and ``audit``: the real command line, on any RQ deployment, with no database."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis
from rq import Queue
from rq.rate_limit import RateLimit

from fixionmail.jobs.worker import enqueue_many
from tests.acceptance.conftest import Operator
from tests.commands import command, environment, run, until
from tests.integration.worker.functions import HERE
from tests.integration.worker.jobs import new
from tests.integration.worker.servers import free_port
from tests.integration.worker.workers import Workers


def three_jobs(redis: Redis) -> None:
    queue = Queue("reports", connection=redis)
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="waits")
    queue.enqueue_in(timedelta(hours=3), f"{HERE}.add", 1, 2, job_id="later")
    queue.enqueue(f"{HERE}.add", 1, 2, job_id="unwanted").cancel()


def test_queues_and_workers_are_listed(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)
    redis.sadd("rq:workers", "rq:worker:killed")

    (queue,) = operate.json("queues", "list")["queues"]
    (worker,) = operate.json("workers", "list")["workers"]

    assert (queue["name"], queue["waiting"], queue["scheduled"], queue["canceled"]) == ("reports", 1, 1, 1)
    assert queue["oldest_waiting_at"].endswith("+00:00")
    assert (worker["name"], worker["health"]) == ("killed", "dead")
    assert "reports: 1 scheduled; 1 canceled" in operate("queues", "list").out
    assert "dead" in operate("workers", "list").out


def test_a_queue_that_cannot_be_read_is_listed_as_that(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)
    redis.delete("rq:queue:reports")
    redis.set("rq:queue:reports", "something else")

    assert operate.json("queues", "list")["unreadable"] == ["rq:queue:reports"]
    assert "rq:queue:reports cannot be read" in operate("queues", "list").out
    assert "RENAMENX rq:queue:reports rq:queue:reports:set-aside" in operate("audit").out


def test_jobs_are_listed_filtered_and_paged(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)

    everything = operate.json("jobs", "list", "--limit", "2")
    rest = operate.json("jobs", "list", "--limit", "2", "--after", everything["next"])

    assert everything["total"] == rest["total"] == 3
    assert {row["job_id"] for row in everything["jobs"] + rest["jobs"]} == {"waits", "later", "unwanted"}
    assert [row["job_id"] for row in operate.json("jobs", "list", "state:queued")["jobs"]] == ["waits"]
    found = operate.json("jobs", "search", "id:wanted")
    assert ([row["job_id"] for row in found["jobs"]], found["searched"]) == (["unwanted"], 3)
    shown = operate("jobs", "list", "state:queued queue:reports")
    assert f"{HERE}"[:20] in shown.out
    assert "1 of 1 jobs." in shown.out


def test_why_a_job_is_not_running_is_told_on_any_deployment(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)

    waits, unknown = operate("jobs", "why", "waits"), operate("jobs", "why", "nobody")

    assert waits.code == 0
    assert "obody works on queue reports" in waits.out
    assert operate.json("jobs", "why", "waits")["state"] == "queued"
    assert unknown.code == 1


def test_what_would_help_a_job_is_printed_as_a_command_that_does_it_where_it_was_looked_at(
    redis: Any, operate: Operator
) -> None:
    three_jobs(redis)
    redis.lpop("rq:queue:reports")

    told = operate("jobs", "why", "waits").out
    (cure,) = (line for line in told.splitlines() if line.startswith("  > put it back: "))
    program, *words = shlex.split(cure.partition(": ")[2])

    assert program == "fixionmail"
    assert words[:3] == ["jobs", "repair", "--redis-url"]
    assert operate.json("jobs", "why", "waits")["cures"][-1]["command"] == cure.partition(": ")[2]
    url = words[3].replace("<password>", urlsplit(operate.url).password or "")
    assert run(operate.home, *words[:3], url, *words[4:], "--yes").code == 0
    assert redis.lrange("rq:queue:reports", 0, -1) == [b"waits"]


def test_a_job_that_a_rate_limit_holds_back_is_counted_listed_shown_and_explained(
    redis: Redis, operate: Operator
) -> None:
    limit = RateLimit(key="shop", concurrency=1)
    for job_id in ("goes", "held"):
        Queue("reports", connection=redis).enqueue(f"{HERE}.nothing", job_id=job_id, rate_limit=limit)

    assert operate.json("queues", "list")["queues"][0]["rate_limited"] == 1
    assert "reports: 1 rate_limited" in operate("queues", "list").out
    assert [row["job_id"] for row in operate.json("jobs", "list", "state:rate_limited")["jobs"]] == ["held"]
    assert "rate_limited by shop, 1 of 1 to be let through" in operate("jobs", "show", "held").out
    assert "The rate limit shop holds it back" in operate.json("jobs", "why", "held")["why"][-1]


def test_a_job_is_shown_and_an_unknown_one_is_a_problem(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)

    shown, unknown = operate("jobs", "show", "waits"), operate("jobs", "show", "nobody")

    assert shown.code == 0
    assert "queued on reports, 1 of 1 from the head" in shown.out
    assert "pickled, " in shown.out
    assert operate.json("jobs", "show", "waits")["job"]["state"] == "queued"
    assert unknown.code == 1
    assert "Nothing in this Redis knows a job 'nobody'" in unknown.err


def test_failures_are_grouped_and_are_a_problem(redis: Redis, operate: Operator, tmp_path: Path) -> None:
    assert operate.json("jobs", "failures")["groups"] == []
    enqueue_many(redis, "stories", [new(f"job-{n}", "boom") for n in range(3)])
    workers = Workers(operate.url, tmp_path)
    workers.start(burst=True).join()

    groups = operate.json("jobs", "failures", code=1)["groups"]

    assert [(group["error"], group["count"]) for group in groups] == [("ValueError: the mill is broken", 3)]
    assert "3 failed jobs in 1 groups." in operate("jobs", "failures").out


def test_an_audit_is_silent_or_names_what_is_wrong(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)
    well = operate("audit")
    assert (well.code, well.out.startswith("Nothing is wrong")) == (0, True)
    redis.delete("rq:queue:reports")

    (finding,) = operate.json("audit", code=1)["findings"]

    assert (finding["kind"], finding["subjects"]) == ("record-without-entry", ["waits"])
    assert "Jobs on record and in no list or registry: 1" in operate("audit").out


def test_hostile_text_neither_steers_the_terminal_nor_breaks_the_table(redis: Any, operate: Operator) -> None:
    redis.sadd("rq:queues", "rq:queue:[/]")
    redis.rpush("rq:queue:[/]", "x")
    redis.hset(
        "rq:job:x", mapping={"status": "queued", "description": b"[red]\x1b[31m\xff('[/]')", "origin": "[/]"}
    )

    for words in (("jobs", "list"), ("queues", "list"), ("jobs", "show", "x"), ("audit",)):
        shown = operate(*words)
        assert shown.code == 0, shown
        assert "\x1b" not in shown.out
    assert "[red]" in operate("jobs", "list").out


@pytest.mark.parametrize("words", [("queues", "list"), ("workers", "list"), ("jobs", "list"), ("audit",)])
def test_a_redis_that_is_away_is_exit_code_4(tmp_path: Path, words: tuple[str, ...]) -> None:
    port = free_port()

    ended = run(tmp_path, *words, "--redis-url", f"redis://:secret-pw@127.0.0.1:{port}")

    assert ended.code == 4
    assert ended.err.strip() == f"Nothing listens at 127.0.0.1:{port}/0: the connection is refused."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--redis-url", "http://x"), "--redis-url must start with redis://"),
        (
            ("--redis-url", "redis://:pw@x?foo=1"),
            "--redis-url has an option behind its ? that cannot be used",
        ),
        (("--redis-url", "redis://:pw@x?db=abc"), "--redis-url has a value behind its ?"),
        ((), "There is no Redis to look at: set REDIS_URL, or name one with --redis-url."),
        (("--redis-url", "redis://127.0.0.1:1", "--key-prefix", "a b"), "is no prefix of RQ's"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ended = run(tmp_path, "queues", "list", *words)

    assert ended.code == 2
    assert said in ended.err


def test_a_wrong_filter_is_exit_code_2(operate: Operator) -> None:
    ended = operate("jobs", "list", "state:lost")

    assert ended.code == 2
    assert "There is no state 'lost'." in ended.err


def test_watching_into_a_file_prints_one_look_below_the_other(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)
    operate.home.mkdir()
    words = ("queues", "list", "--watch", "--redis-url", operate.url)
    file = operate.home / "looks"
    with (
        file.open("w") as out,
        subprocess.Popen(command(*words), env=environment(operate.home), stdout=out) as watching,
    ):
        until(lambda: file.read_text().count("reports") >= 2, "two looks")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    assert "\x1b" not in file.read_text()


def test_watching_prints_a_document_a_line_until_it_is_interrupted(redis: Redis, operate: Operator) -> None:
    three_jobs(redis)
    operate.home.mkdir()
    words = ("queues", "list", "--json", "--watch", "--redis-url", operate.url)
    lines = operate.home / "lines"
    with (
        lines.open("w") as out,
        subprocess.Popen(command(*words), env=environment(operate.home), stdout=out) as watching,
    ):
        until(lambda: lines.read_text().count("\n") >= 2, "two looks")
        watching.send_signal(signal.SIGINT)
        ends_by = time.monotonic() + 20
        code = watching.wait(20)

    assert time.monotonic() < ends_by
    assert code == 130
    assert {json.loads(line)["queues"][0]["name"] for line in lines.read_text().splitlines()} == {"reports"}
