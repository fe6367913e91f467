"""``GET /api/status`` under load: one look for all who ask."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.commands import running, until
from tests.integration.worker.servers import free_port
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


@pytest.mark.slow
def test_ten_thousand_requests_are_all_answered_fast_and_nothing_grows(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "APP_BASE_URL": f"https://{PUBLIC}",
    }
    url = f"http://127.0.0.1:{port}"
    with running(tmp_path, "run", "web", **settings) as process:
        until(lambda: asyncio.run(_answers(url)), "the service to serve")
        service = psutil.Process(process.pid)
        asyncio.run(ask(url, 100, 20))  # buffers and pools have their size
        memory, threads, files = service.memory_info().rss, service.num_threads(), service.num_fds()
        begun = time.monotonic()
        assert asyncio.run(ask(url, 100, 100)) == 10_000
        seconds = time.monotonic() - begun
        assert 10_000 / seconds > WANTED / 5, f"{10_000 / seconds:.0f} requests a second"
        assert service.memory_info().rss - memory < 30_000_000
        assert service.num_threads() <= threads + 2
        until(lambda: service.num_fds() <= files + 2, "connections to be closed")


async def _answers(url: str) -> bool:
    try:
        return await ask(url, 1, 1) == 1
    except OSError:
        return False
