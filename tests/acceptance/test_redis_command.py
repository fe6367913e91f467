"""`fixionmail redis`: a Redis on this machine, and loops that find it without being told."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fixionmail.demo import count_mails
from fixionmail.engine import LOCALHOST, free_port
from fixionmail.processes import redis as local_redis
from tests.acceptance.readers import add_reader_due_now, written
from tests.acceptance.test_change_over import TICK
from tests.commands import Ended, processes_of, run, running, until


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of a server that answers everything with OK."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                self.request.sendall(b"+OK\r\n")

    with socketserver.ThreadingTCPServer((LOCALHOST, 0), Answer) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    run(tmp_path, "redis", "down")
    until(lambda: not processes_of(tmp_path), "everything to end")


def redis(home: Path, *arguments: str, **settings: str) -> Ended:
    return run(home, "redis", *arguments, **settings)


def status(home: Path, **settings: str) -> Any:
    ended = run(home, "status", "--json", **settings)
    assert ended.code == 0, ended
    return ended.json()


def test_up_starts_one_down_stops_it_and_status_says_how_it_stands(home: Path) -> None:
    before = redis(home, "status", "--json")
    assert (before.code, before.json()["answers"]) == (4, False)

    up = redis(home, "up")
    assert (up.code, up.err) == (0, "")
    assert "(bundled) was started on port " in up.out
    assert "fixionmail processes start worker" in up.out

    seen = redis(home, "status", "--json").json()
    assert (seen["answers"], seen["persistence"], seen["policy"]) == (True, "append-only file", "noeviction")
    assert seen["folder"] == str(home / "redis")
    password = (home / "redis" / "password").read_text()
    assert password not in up.out + str(seen)

    assert "runs already" in redis(home, "up").out
    assert "was stopped" in redis(home, "down").out
    assert redis(home, "down").out == "No local Redis runs here.\n"


def test_one_that_answers_is_used_and_nothing_is_started(tmp_path: Path, redis_url: str) -> None:
    up = redis(tmp_path, "up", REDIS_URL=redis_url)

    assert up.code == 0
    assert "it is used, nothing was started" in up.out
    assert str(urlsplit(redis_url).password) not in up.out
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_password_is_said_plainly_and_without_it(tmp_path: Path, redis_url: str) -> None:
    port = urlsplit(redis_url).port
    up = redis(tmp_path, "up", REDIS_URL=f"redis://:s3cret@127.0.0.1:{port}/0")

    assert up.code == 2
    assert up.err.startswith("REDIS_URL has a wrong user or password: redis://:••••••@127.0.0.1")
    assert "s3cret" not in up.err


def test_a_port_taken_by_something_else_is_named_with_who_has_it(tmp_path: Path) -> None:
    with socket.create_server((LOCALHOST, 0)) as stranger:
        port = stranger.getsockname()[1]
        up = redis(tmp_path, "up", REDIS_URL=f"redis://{LOCALHOST}:{port}")

    assert up.code == 1
    assert f"Port {port} is taken by " in up.err


def test_a_server_that_is_no_redis_is_not_taken_for_one(tmp_path: Path, stranger: int) -> None:
    url = f"redis://{LOCALHOST}:{stranger}"

    seen, up = redis(tmp_path, "status", "--json", REDIS_URL=url), redis(tmp_path, "up", REDIS_URL=url)

    assert (seen.code, seen.json()["answers"]) == (4, False)
    assert seen.json()["trouble"] == f"{url} does not answer: it answers PING as no Redis does."
    assert up.code == 1
    assert up.err.startswith(f"Port {stranger} is taken by ")
    assert up.err.endswith(" Choose another port.\n")


@pytest.mark.parametrize("credentials", ["", ':p%40ss"w\\ord@'])
def test_it_is_the_one_that_redis_url_names_on_this_machine(home: Path, credentials: str) -> None:
    url = f"redis://{credentials}localhost:{free_port()}/0"

    up = redis(home, "up", REDIS_URL=url)

    assert up.code == 0, up
    assert "It is where REDIS_URL says" in up.out
    assert redis(home, "status", REDIS_URL=url).code == 0
    assert "it is used, nothing was started" in redis(home, "up", REDIS_URL=url).out


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("rediss://localhost:1/0", "REDIS_URL asks for TLS"),
        ("redis://somebody:pw@localhost:1/0", "REDIS_URL names a user"),
    ],
)
def test_what_no_local_redis_can_be_is_refused(tmp_path: Path, url: str, sentence: str) -> None:
    up = redis(tmp_path, "up", REDIS_URL=url)

    assert up.code == 2
    assert sentence in up.err


def test_running_loops_hand_over_to_workers_once_a_local_redis_has_one_and_take_back_when_it_is_gone(
    home: Path, database_url: str
) -> None:
    known = {"DATABASE_URL": database_url, "WORKER_CONCURRENCY": "4", **TICK}

    def mode() -> str:
        return str(status(home, **known)["mode"])

    with running(home, "run", "scheduler", **known), running(home, "run", "delivery", **known):
        until(lambda: mode() == "fallback", "fallback: no Redis is named and none runs")
        add_reader_due_now(home, "before@example.com", **known)
        until(lambda: written(home, **known) == 1, "a story without Redis")

        assert redis(home, "up", **known).code == 0
        add_reader_due_now(home, "alone@example.com", **known)
        until(lambda: written(home, **known) == 2, "a story although nobody listens to that Redis yet")
        assert mode() == "fallback"

        with running(home, "run", "worker", **known):
            until(lambda: mode() == "queue", "queue mode")
            add_reader_due_now(home, "during@example.com", **known)
            until(lambda: written(home, **known) == 3, "a story from the worker")
            assert mode() == "queue"

        assert redis(home, "down").code == 0
        assert local_redis.running_url(home) is None
        add_reader_due_now(home, "after@example.com", **known)
        until(lambda: written(home, **known) == 4, "a story without Redis again")
        until(lambda: mode() == "fallback", "fallback")
    assert set(count_mails(home / "outbox").values()) <= {1}


@pytest.mark.slow
def test_loops_told_of_a_redis_that_is_not_there_find_the_local_one_that_is_started_in_its_place(
    home: Path, database_url: str
) -> None:
    known = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://localhost:{free_port()}/0", **TICK}
    with running(home, "run", "scheduler", **known):
        add_reader_due_now(home, "somebody@example.com", **known)
        until(lambda: status(home, **known)["mode"] == "fallback", "fallback")

        assert redis(home, "up", **known).code == 0

        until(lambda: status(home, **known)["mode"] == "queue", "queue mode")
