"""`fixionmail run`: what it refuses to start with, how it stops, and who leads."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from fixionmail.models.operations import LeaderRow, OperationsRow
from fixionmail.store import Store
from tests.acceptance.readers import add_reader_due_now
from tests.commands import PATIENCE_SECONDS, Ended, run, running, until
from tests.integration.worker.servers import free_port
from tests.postgres import url_of

QUEUE = {"ENABLE_REDIS_QUEUE": "true"}
FALLBACK = {"ENABLE_REDIS_QUEUE": "false"}
SOON = 15.0
"""Seconds for a stop or a change of leaders on a busy machine; a lease is renewed every ten."""


def start(home: Path, *arguments: str, settings: Mapping[str, str]) -> Ended:
    """Run a command to its end, with these settings."""
    return run(home, *arguments, timeout=PATIENCE_SECONDS, **settings)


# ---- what it refuses to start with -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (["worker"], QUEUE, "ENABLE_REDIS_QUEUE is true, but REDIS_URL is not set."),
        (["delivery"], QUEUE, "ENABLE_REDIS_QUEUE is true, but REDIS_URL is not set."),
        (["all"], QUEUE, "ENABLE_REDIS_QUEUE is true, but REDIS_URL is not set."),
        (["worker"], {}, "A worker takes its jobs from Redis: set REDIS_URL."),
        (["worker"], FALLBACK | {"REDIS_URL": "redis://127.0.0.1:1"}, "A worker takes its jobs from Redis"),
        ([], {}, "Say what to run: fixionmail run worker|scheduler|delivery|web|all, or set SERVICE_TYPE."),
        (["postman"], {}, "There is no 'postman' to run: worker, scheduler, delivery, web or all."),
        ([], {"SERVICE_TYPE": "postman"}, "SERVICE_TYPE must be one of"),
        (["scheduler"], {"CHECK_INTERVAL_SECONDS": "often"}, "CHECK_INTERVAL_SECONDS must be a number."),
    ],
)
def test_what_cannot_be_run_is_a_sentence_and_exit_code_2_and_starts_nothing(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], sentence: str
) -> None:
    ended = start(tmp_path, "run", *arguments, settings=settings)

    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["scheduler", "worker"])
def test_a_postgres_that_does_not_answer_is_exit_code_4(tmp_path: Path, kind: str) -> None:
    ended = run(
        tmp_path,
        *("run", kind),
        DATABASE_URL=f"postgresql://user:s3cret@127.0.0.1:{free_port()}/stories",
        REDIS_URL="redis://127.0.0.1:1",
    )

    assert (ended.code, ended.out) == (4, "")
    assert "/stories does not answer" in ended.err
    assert_no_trace_of("s3cret", ended.err)


def test_a_postgres_that_refuses_the_password_is_exit_code_2(tmp_path: Path, database_url: str) -> None:
    url = url_of(database_url, user="postgres", password="wr0ng-s3cret")

    ended = start(tmp_path, "run", "scheduler", settings={"DATABASE_URL": url})

    assert (ended.code, ended.out) == (2, "")
    assert "refuses" in ended.err
    assert "Check DATABASE_URL." in ended.err
    assert_no_trace_of("wr0ng-s3cret", ended.err)


@pytest.mark.parametrize("settings", [{}, {"EMAIL_FROM": "no address"}, {"EMAIL_FROM": "a@b\\c"}], ids=str)
@pytest.mark.parametrize("command", [["run", "all"], ["run", "web"], ["up"]], ids=" ".join)
def test_who_would_send_through_resend_must_say_from_whom(
    tmp_path: Path, database_url: str, command: list[str], settings: dict[str, str]
) -> None:
    ended = start(
        tmp_path,
        *command,
        settings={
            "DATABASE_URL": database_url,
            "ENABLE_REDIS_QUEUE": "false",
            "RESEND_API_KEY": "re_s3cret",
            "PORT": str(free_port()),
            **settings,
        },
    )

    assert ended.code == 2
    assert "EMAIL_FROM" in ended.err
    assert_no_trace_of("re_s3cret", ended.err)


def test_a_database_without_migrations_is_exit_code_1_and_names_the_cure(
    tmp_path: Path, empty_database: str
) -> None:
    ended = start(tmp_path, "run", "delivery", settings={"DATABASE_URL": empty_database})

    assert (ended.code, ended.out) == (1, "")
    assert "fixionmail db migrate" in ended.err
    assert_no_trace_of(password_of(empty_database), ended.err)


def test_a_home_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")

    ended = start(tmp_path, "run", "scheduler", settings={"FIXIONMAIL_HOME": str(tmp_path / "home")})

    assert (ended.code, ended.out) == (1, "")
    assert str(tmp_path / "home") in ended.err
    assert "Traceback" not in ended.err
    assert (tmp_path / "home").read_text() == "in the way"


def password_of(url: str) -> str:
    password = urlsplit(url).password
    assert password
    return password


def assert_no_trace_of(secret: str, said: str) -> None:
    assert secret not in said
    assert "Traceback" not in said


# ---- a Redis with another password -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["scheduler", "delivery"])
def test_a_loop_that_redis_refuses_says_so_in_its_leaders_note_before_there_is_anything_to_ring_for(
    tmp_path: Path, database_url: str, redis_server: str, direct_store: Store, kind: str
) -> None:
    address = urlsplit(redis_server)
    wrong = f"redis://:wr0ng-s3cret@{address.hostname}:{address.port}/0"
    known = {"DATABASE_URL": database_url, "REDIS_URL": wrong, "CHECK_INTERVAL_SECONDS": "1"}

    def note() -> str:
        (leader,) = direct_store.operations.snapshot(datetime.now(UTC).date()).leaders or (None,)
        return str(leader.info.get("note")) if leader else ""

    with running(tmp_path, "run", kind, **known):
        until(lambda: "invalid username-password" in note(), "the leader to say so", SOON)
        assert_no_trace_of("wr0ng-s3cret", note() + log_of(tmp_path))


def test_a_redis_that_refuses_the_password_is_told_in_log_and_status_while_the_worker_waits_for_it(
    tmp_path: Path, database_url: str, redis_server: str, direct_store: Store
) -> None:
    address = urlsplit(redis_server)
    wrong = f"redis://:wr0ng-s3cret@{address.hostname}:{address.port}/0"
    known = {"DATABASE_URL": database_url, "REDIS_URL": wrong}
    # Jobs it may have claimed without hearing of it are waited for, as long as a drain may take.
    with running(tmp_path, "run", "worker", "--drain-seconds", "1", **known) as process:
        until(lambda: "invalid username-password" in log_of(tmp_path), "a word in the log")
        until(lambda: kinds(direct_store) == {"worker"}, "the worker to report itself")
        seen = start(tmp_path, "status", "--json", settings=known)
        assert process.poll() is None
        assert stopped(process) == 0
    assert "refuses the user or password" in seen.json()["redis"]
    assert kinds(direct_store) == set()
    assert_no_trace_of("wr0ng-s3cret", seen.out + seen.err + log_of(tmp_path))


def log_of(home: Path) -> str:
    return (home / "command.log").read_text()


# ---- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "settings", "expected"),
    [
        (["scheduler"], {}, {"scheduler"}),
        (["delivery"], {}, {"delivery"}),
        (["worker"], {}, {"worker"}),
        (["all"], {}, {"scheduler", "delivery", "worker"}),
        (["all"], FALLBACK, {"scheduler", "delivery"}),
        ([], {"SERVICE_TYPE": "scheduler"}, {"scheduler"}),
    ],
    ids=["scheduler", "delivery", "worker", "all", "all in fallback", "by SERVICE_TYPE"],
)
def test_sigterm_ends_it_with_0_its_lease_released_and_itself_off_the_list(
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    direct_store: Store,
    arguments: list[str],
    settings: dict[str, str],
    expected: set[str],
) -> None:
    known = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, **settings}
    with running(tmp_path, "run", *arguments, **known) as process:
        until(lambda: kinds(direct_store) == expected, f"{expected} to report themselves")
        until(lambda: leaders(direct_store) == expected - {"worker"}, "the loops to lead")
        if "worker" in expected:
            until(lambda: rq_workers(redis_url) == 1, "the worker to be in Redis")
        assert stopped(process) == 0

    assert kinds(direct_store) == set()
    assert leaders(direct_store) == set()
    assert rq_workers(redis_url) == 0
    assert "Traceback" not in log_of(tmp_path)


def test_status_shows_what_runs_and_not_what_has_stopped(
    tmp_path: Path, database_url: str, direct_store: Store
) -> None:
    known = {"DATABASE_URL": database_url, **FALLBACK}
    with running(tmp_path, "run", "scheduler", **known) as process:
        until(lambda: leaders(direct_store) == {"scheduler"}, "the scheduler to lead")
        seen = status(tmp_path, known)
        assert (seen["mode"], seen["redis"]) == ("fallback", "not used")
        assert f":{process.pid}:" in seen["leaders"]["scheduler"]["holder"]
        assert stopped(process) == 0

    seen = status(tmp_path, known)
    assert (seen["mode"], seen["workers"]) == ("unknown", [])
    assert seen["leaders"] == {"scheduler": None, "delivery": None}


def stopped(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(SOON)


def overview(store: Store) -> OperationsRow:
    return store.operations.snapshot(datetime.now(UTC).date())


def kinds(store: Store) -> set[str]:
    return {process.kind for process in overview(store).processes}


def leaders(store: Store) -> set[str]:
    return {leader.name for leader in overview(store).leaders if leader.held}


def rq_workers(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.scard("rq:workers"))


def status(home: Path, settings: dict[str, str]) -> Any:
    return start(home, "status", "--json", settings=settings).json()


# ---- leading ---------------------------------------------------------------------------------------------------------


@contextmanager
def two_schedulers(home: Path, database_url: str, store: Store) -> Iterator[dict[int, subprocess.Popen[str]]]:
    """Both run and one leads."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                running(home / name, "run", "scheduler", DATABASE_URL=database_url, **FALLBACK)
            )
            for name in ("one", "other")
        ]
        until(lambda: len(overview(store).processes) == 2, "both to report themselves")
        until(lambda: leader_of(store), "one to lead")
        yield {process.pid: process for process in started}


def leader_of(store: Store) -> LeaderRow | None:
    return next((row for row in overview(store).leaders if row.name == "scheduler" and row.held), None)


def leading_pid(store: Store) -> int | None:
    leader = leader_of(store)
    return int(leader.info["pid"]) if leader else None


def test_when_the_leader_stops_the_other_leads_within_seconds(
    tmp_path: Path, database_url: str, direct_store: Store
) -> None:
    with two_schedulers(tmp_path, database_url, direct_store) as processes:
        before = leader_of(direct_store)
        assert before is not None
        leader = processes.pop(before.info["pid"])
        (other,) = processes

        assert stopped(leader) == 0
        until(lambda: leading_pid(direct_store) == other, "the other to lead", SOON)

        after = leader_of(direct_store)
        assert after is not None
        assert after.fence > before.fence


@pytest.mark.slow
def test_when_the_leader_is_killed_the_other_leads_when_the_lease_has_lapsed(
    tmp_path: Path, database_url: str, direct_store: Store
) -> None:
    with two_schedulers(tmp_path, database_url, direct_store) as processes:
        pid = leading_pid(direct_store)
        assert pid is not None
        leader = processes.pop(pid)
        (other,) = processes

        leader.kill()
        leader.wait()
        assert leading_pid(direct_store) == pid  # nobody may be sure yet that it is dead
        until(lambda: leading_pid(direct_store) == other, "the other to lead", 45)


# ---- SCHEDULER_PAUSED ------------------------------------------------------------------------------------------------


def test_a_paused_scheduler_plans_nothing_and_says_so_until_it_may(
    tmp_path: Path, database_url: str, direct_store: Store
) -> None:
    known = {"DATABASE_URL": database_url, "CHECK_INTERVAL_SECONDS": "1", **FALLBACK}
    add_reader_due_now(tmp_path, "reader@example.com", **known)
    with running(tmp_path, "run", "scheduler", SCHEDULER_PAUSED="true", **known):
        until(lambda: "SCHEDULER_PAUSED" in note(direct_store), "the note of a tick that planned nothing", 30)
        seen = status(tmp_path, known)
    assert seen["leaders"]["scheduler"]["note"] == "SCHEDULER_PAUSED is set: nothing new is planned"
    assert planned(direct_store) == 0

    with running(tmp_path, "run", "scheduler", **known):
        until(lambda: planned(direct_store) == 1, "the story to be planned")


def note(store: Store) -> str:
    leader = leader_of(store)
    return str(leader.info.get("note", "")) if leader else ""


def planned(store: Store) -> int:
    today = datetime.now(UTC).date()
    return sum(
        sum(store.operations.snapshot(day).jobs.values()) for day in (today, today + timedelta(days=1))
    )
