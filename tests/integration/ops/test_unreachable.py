"""A Redis that refuses, hangs, forbids or is something else: told in words, without its password, in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from fixionmail.errors import RedisUnreachableError
from fixionmail.ops.actions import Hands
from fixionmail.ops.connection import RedisReader, place_of
from fixionmail.ops.redis_look import look
from fixionmail.ops.snapshot import Observer
from tests.integration.worker.servers import RedisServer, free_port

SECRET = "s3cr3t-word"


def refusal(url: str) -> str:
    reader = RedisReader(url, reply_seconds=0.5)
    with pytest.raises(RedisUnreachableError) as told:
        look(reader)
    reader.close()
    return str(told.value)


@contextmanager
def answering(reply: bytes | None, *, piece_seconds: float | None = None) -> Iterator[int]:
    """A server that answers everything with ``reply``; None: it closes at once. Yields its port.

    ``piece_seconds``: how long it waits before each byte of an answer.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(ConnectionError):
                while reply is not None and client.recv(65536):
                    if piece_seconds is None:
                        client.sendall(reply)
                        continue
                    for byte in reply:
                        time.sleep(piece_seconds)
                        client.sendall(bytes([byte]))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture
def guarded(server: RedisServer, redis: Any) -> Iterator[RedisServer]:
    """The server with a user who may not run scripts."""
    redis.execute_command(
        "ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "+@read", "-@scripting", "+ping"
    )
    yield server
    redis.execute_command("ACL", "DELUSER", "reader")


def test_a_closed_port_is_refused() -> None:
    port = free_port()

    assert refusal(f"redis://:{SECRET}@127.0.0.1:{port}/2") == (
        f"Nothing listens at 127.0.0.1:{port}/2: the connection is refused."
    )


def test_a_wrong_password_is_told_without_it(guarded: RedisServer) -> None:
    told = refusal(f"redis://reader:{SECRET}x@127.0.0.1:{guarded.port}")

    assert told == f"Redis at 127.0.0.1:{guarded.port}/0 refuses the user or password of its URL."


def test_a_missing_password_is_told(server: RedisServer, redis: Any) -> None:
    redis.config_set("requirepass", SECRET)
    try:
        told = refusal(server.url)
    finally:
        redis.config_set("requirepass", "")

    assert "asks for a password" in told or "refuses the user or password" in told
    assert SECRET not in told


def test_a_user_who_may_not_run_scripts_is_told_so(guarded: RedisServer) -> None:
    told = refusal(f"redis://reader:{SECRET}@127.0.0.1:{guarded.port}")

    assert "does not permit this user to look" in told
    assert SECRET not in told


def test_a_server_without_scripts_is_told_so() -> None:
    with answering(b"-ERR unknown command 'EVALSHA', with args beginning with: \r\n") as port:
        assert "forbids the scripts that a look needs" in refusal(f"redis://127.0.0.1:{port}")


def test_a_server_before_read_only_scripts_is_read_with_plain_ones(tmp_path: Path) -> None:
    old = RedisServer(
        tmp_path, options=("--rename-command", "EVAL_RO", "", "--rename-command", "EVALSHA_RO", "")
    )
    old.start()
    reader = RedisReader(old.url)

    assert look(reader).redis.flavour == "Valkey"
    before = reader.commands
    look(reader)

    assert reader.commands - before == 1
    reader.close()
    old.kill()


def test_tls_against_a_port_without_it_is_told() -> None:
    with answering(b"-ERR what is this\r\n") as port:
        told = refusal(f"rediss://:{SECRET}@127.0.0.1:{port}")

    assert "is reached with redis:// instead of rediss://" in told
    assert SECRET not in told


@pytest.mark.parametrize("reply", [None, b"\x15\x03\x01\x00\x02\x02\x46"], ids=["at once", "after an alert"])
def test_a_port_that_closes_may_want_tls(reply: bytes | None) -> None:
    with answering(reply) as port:
        assert "rediss://" in refusal(f"redis://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"+OK\r\n",
        b"+PONG\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
    ],
)
def test_something_that_is_no_redis_is_told(reply: bytes) -> None:
    with answering(reply) as port:
        url = f"redis://127.0.0.1:{port}"
        words = f"What listens at 127.0.0.1:{port}/0 does not answer as a Redis does."
        assert refusal(url) == words

        hands = Hands(redis_url=url)
        with pytest.raises(RedisUnreachableError, match=words):
            hands.call(hands.redis.suspend)
        hands.close()


def test_an_answer_in_small_pieces_is_not_waited_for_without_end() -> None:
    with answering(b"+" + b"x" * 1000 + b"\r\n", piece_seconds=0.1) as port:
        began = time.monotonic()

        assert refusal(f"redis://127.0.0.1:{port}") == f"Redis at 127.0.0.1:{port}/0 does not answer in time."
        assert time.monotonic() - began < 60  # all of it would take 100 s


def test_a_hung_redis_costs_no_more_than_its_timeout(tmp_path: Path) -> None:
    hung = RedisServer(tmp_path)
    hung.start()
    observer = Observer(redis_url=hung.url)
    assert observer.look().redis.ok
    hung.pause()
    began = time.monotonic()

    seen = observer.look()

    assert time.monotonic() - began < 4.5
    assert (
        seen.redis.error == seen.queues.error == f"Redis at 127.0.0.1:{hung.port}/0 does not answer in time."
    )
    hung.resume()
    assert observer.look().redis.ok
    observer.close()
    hung.kill()


def test_a_redis_that_comes_back_is_seen_again(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    observer = Observer(redis_url=server.url)
    assert not observer.look().redis.ok
    server.start()
    assert observer.look().redis.ok
    server.kill()
    assert "refused" in observer.look().redis.error
    observer.close()


def test_looks_of_several_threads_do_not_disturb_each_other(redis: Redis, server: RedisServer) -> None:
    observer = Observer(redis_url=server.url)
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(observer.look().redis.ok)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [True] * 20
    observer.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:pw@host:6380/3", "host:6380/3"),
        ("rediss://:pw@host.example", "host.example:6379/0"),
        ("redis://[::1]:7000", "[::1]:7000/0"),
        ("unix:///var/run/redis.sock", "/var/run/redis.sock"),
    ],
)
def test_a_place_is_shown_without_who_asks(url: str, place: str) -> None:
    assert place_of(url) == place
