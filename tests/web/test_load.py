"""Under load: one look for all who ask for the status, and nothing that grows, whoever comes and with whatever."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.commands import running, until
from tests.integration.worker.servers import free_port
from tests.standins.resend_webhooks import new_secret, signature
from tests.web.conftest import PUBLIC, Web

REQUEST = f"GET /api/status HTTP/1.1\r\nhost: {PUBLIC}\r\n\r\n".encode()
WANTED = 1000
"""Requests a second. On a machine that is shared with other tests a fifth of it is asked for."""


async def ask(url: str, connections: int, each: int) -> int:
    """Requests over so many connections, each with so many one after another; how many were answered with 200."""
    host, port = urlsplit(url).hostname, urlsplit(url).port

    async def client() -> int:
        reader, writer = await asyncio.open_connection(host, port)
        good = 0
        for _ in range(each):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            good += head.startswith(b"HTTP/1.1 200 ")
        writer.close()
        return good

    return sum(await asyncio.gather(*(client() for _ in range(connections))))


def test_a_crowd_is_answered(web: Web) -> None:
    assert asyncio.run(ask(web.url, 50, 10)) == 500


@contextmanager
def serving(
    home: Path, database_url: str, redis_url: str, **settings: str
) -> Iterator[tuple[str, psutil.Process]]:
    """A web service in a process of its own: its URL and the process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    base = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "APP_BASE_URL": f"https://{PUBLIC}"}
    with running(home, "run", "web", PORT=str(port), **base, **settings) as process:
        until(lambda: asyncio.run(_answers(url)), "the service to serve")
        yield url, psutil.Process(process.pid)


@pytest.mark.slow
def test_ten_thousand_requests_are_all_answered_fast_and_nothing_grows(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with serving(tmp_path, database_url, redis_url) as (url, service):
        asyncio.run(ask(url, 100, 20))  # buffers and pools have their size
        memory, threads, files = service.memory_info().rss, service.num_threads(), service.num_fds()
        begun = time.monotonic()
        assert asyncio.run(ask(url, 100, 100)) == 10_000
        seconds = time.monotonic() - begun
        assert 10_000 / seconds > WANTED / 5, f"{10_000 / seconds:.0f} requests a second"
        assert service.memory_info().rss - memory < 30_000_000
        assert service.num_threads() <= threads + 2
        until(lambda: service.num_fds() <= files + 2, "connections to be closed")


def post(
    path: str, body: bytes, *headers: str, kind: str = "application/json", length: int | None = None
) -> bytes:
    """A request with a body, whose length may be said wrongly."""
    size = len(body) if length is None else length
    lines = (
        f"POST {path} HTTP/1.1",
        f"host: {PUBLIC}",
        f"content-type: {kind}",
        f"content-length: {size}",
        *headers,
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


def signed(secret: str, body: bytes, age: int = 0) -> bytes:
    """A webhook signed ``age`` seconds ago."""
    at = int(time.time()) - age
    name = f"msg_{secrets.token_hex(8)}"
    headers = (
        f"svix-id: {name}",
        f"svix-timestamp: {at}",
        f"svix-signature: {signature(secret, name, at, body)}",
    )
    return post("/webhooks/resend", body, *headers)


def strangers(secret: str) -> dict[str, tuple[Callable[[], bytes], set[int]]]:
    """What comes to a public address, and the codes that may answer it; 0: the connection is closed."""
    event = b'{"type": "email.bounced", "data": {"email_id": "x"}}'
    token = lambda: f"/unsubscribe/{secrets.token_hex(24)}"  # noqa: E731 - a word for a new token each time
    return {
        "status": (lambda: REQUEST, {200}),
        "forged": (lambda: signed(new_secret(), event), {401}),
        "stale": (lambda: signed(secret, event, age=600), {401}),
        "of no mail of ours": (lambda: signed(secret, event), {200}),
        "cut JSON": (lambda: signed(secret, event[:20]), {400}),
        "not JSON": (lambda: signed(secret, secrets.token_bytes(64)), {400, 401}),
        "ten megabytes": (lambda: post("/webhooks/resend", b"x" * 10_000_000), {413}),
        "cut off": (lambda: post("/webhooks/resend", event, length=1000), {0}),
        "another type": (lambda: post("/webhooks/resend", event, kind="text/plain"), {415}),
        "another host": (lambda: REQUEST.replace(PUBLIC.encode(), b"evil.example"), {421}),
        "a guess": (lambda: b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (token().encode(), PUBLIC.encode()), {404, 429}),
        "a click": (lambda: post(token(), b"", kind="application/x-www-form-urlencoded"), {404, 429}),
        "a path": (lambda: REQUEST.replace(b"/api/status", f"/{secrets.token_hex(900)}".encode()), {404}),
        "no HTTP": (lambda: secrets.token_bytes(100) + b"\r\n\r\n", {400, 0}),
    }  # fmt: skip


async def besiege(url: str, secret: str, seconds: float) -> Counter[str]:
    """Strangers for so long, eight at a time; how often each came, and what was not answered as it should be."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    visits, ends_at, seen = cycle(strangers(secret).items()), time.monotonic() + seconds, Counter[str]()

    async def visitor() -> None:
        while time.monotonic() < ends_at:
            name, (request, wanted) = next(visits)
            code = await _code_of(host, port, request(), leaves=name == "cut off")
            seen[name if code in wanted else f"{name} was answered {code}"] += 1

    await asyncio.gather(*(visitor() for _ in range(8)))
    return seen


async def _code_of(host: str | None, port: int | None, request: bytes, *, leaves: bool) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        await writer.drain()
        if leaves:
            writer.write_eof()
        line = await asyncio.wait_for(reader.readline(), 30)
        return int(line.split()[1]) if line else 0
    except ConnectionError:
        return 0
    finally:
        writer.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_siege_by_all_kinds_of_strangers_is_answered_rightly_and_leaves_nothing_behind(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    secret = new_secret()
    with serving(tmp_path, database_url, redis_url, RESEND_WEBHOOK_SECRET=secret) as (url, service):
        asyncio.run(besiege(url, secret, 15))  # buffers and pools have their size
        memory, threads, files = service.memory_info().rss, service.num_threads(), service.num_fds()
        seen = asyncio.run(besiege(url, secret, 45))
        assert set(seen) == set(strangers(secret)), seen
        assert service.memory_info().rss - memory < 10_000_000
        assert service.num_threads() <= threads + 2
        until(lambda: service.num_fds() <= files + 2, "connections to be closed")
        assert asyncio.run(ask(url, 10, 10)) == 100
    log = (tmp_path / "command.log").read_text(encoding="utf-8")
    assert not [word for word in ("Traceback", secret, "/unsubscribe/") if word in log]


async def _answers(url: str) -> bool:
    try:
        return await ask(url, 1, 1) == 1
    except OSError:
        return False
