"""The database or Redis goes away while the service serves: right codes, nothing leaks, nothing grows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.commands import until
from tests.integration.worker.servers import RedisServer
from tests.web.conftest import Web, running_web
from tests.web.gateway import Gateway
from tests.web.test_webhooks import event

SECRETS = ("postgres", "127.0.0.1", "Traceback", "psycopg", "password")


@pytest.fixture
def gateway(database_url: str) -> Iterator[Gateway]:
    """The road to the database."""
    gateway = Gateway(urlsplit(database_url).port or 5432)
    yield gateway
    gateway.close()


@pytest.fixture
def behind(gateway: Gateway, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Web]:
    """A service whose road to the database can be closed; the tests' own is another."""
    port = str(urlsplit(database_url).port)
    url = database_url.replace(f":{port}/", f":{gateway.port}/")
    with running_web(url, tmp_path, enable_redis_queue=True, redis_url=redis_url) as web:
        yield web
        gateway.open()


def assert_says_little(answer: httpx.Response) -> None:
    assert not [word for word in SECRETS if word in answer.text]


class TestWhileTheDatabaseIsGone:
    @pytest.mark.slow
    def test_each_door_answers_with_its_code_and_says_little(self, behind: Web, gateway: Gateway) -> None:
        _, (delivery,) = behind.world.sent()
        user = behind.world.row("scheduled_deliveries", delivery)["user_id"]
        assert behind.get("/api/status").status_code == 200
        gateway.shut()

        webhook = behind.tell(event("email.delivered", delivery))
        click = behind.post(f"/unsubscribe/token-{user}")
        page = behind.get(f"/unsubscribe/token-{user}")
        until(lambda: behind.get("/readyz").status_code == 503, "readiness to end", seconds=20)

        assert behind.get("/healthz").text == "ok"
        assert (webhook.status_code, webhook.headers["retry-after"]) == (503, "5")
        assert (click.status_code, page.status_code) == (503, 503)
        for answer in (webhook, click, page, behind.get("/metrics"), behind.get("/api/status")):
            assert_says_little(answer)
        samples = [line for line in behind.get("/metrics").text.splitlines() if not line.startswith("#")]
        assert samples == ["fixionmail_up 0.0"]

    @pytest.mark.slow
    def test_the_last_status_is_served_as_stale(self, behind: Web, gateway: Gateway) -> None:
        assert behind.get("/api/status").json()["stale"] is False
        gateway.shut()
        body = until(lambda: (seen := behind.get("/api/status").json())["stale"] and seen, "it to go stale")
        assert body["status"] == "degraded"

    def test_all_is_well_again_when_it_is_back(self, behind: Web, gateway: Gateway) -> None:
        _, (delivery,) = behind.world.sent()
        gateway.shut()
        assert behind.tell(event("email.delivered", delivery), message_id="msg_1").status_code == 503
        gateway.open()
        again = until(
            lambda: (
                (answer := behind.tell(event("email.delivered", delivery), message_id="msg_1")).is_success
                and answer
            ),
            "the event to be taken in",
        )
        assert again.json() in ({"verdict": "ok"}, {"verdict": "already"})
        until(lambda: behind.get("/readyz").status_code == 200, "readiness")
        until(lambda: behind.get("/api/status").json()["stale"] is False, "a fresh status")

    @pytest.mark.slow
    def test_and_hangs_a_flood_piles_up_nothing(self, behind: Web, gateway: Gateway) -> None:
        gateway.go_dead()
        threads_before, memory_before = threading.active_count(), psutil.Process().memory_info().rss
        limits = httpx.Limits(max_connections=300)
        with (
            httpx.Client(
                base_url=behind.url, headers=behind.client.headers, timeout=60, limits=limits
            ) as client,
            ThreadPoolExecutor(300) as crowd,
        ):
            answers = list(
                crowd.map(lambda n: client.post("/webhooks/resend", **_signed(behind)), range(600))
            )
        assert {answer.status_code for answer in answers} == {503}
        begun = time.monotonic()
        assert behind.get("/healthz").text == "ok"
        assert time.monotonic() - begun < 1
        assert threading.active_count() <= threads_before + 20
        assert psutil.Process().memory_info().rss - memory_before < 100_000_000


def _signed(web: Web) -> dict[str, Any]:
    body = json.dumps(event("email.delivered", uuid4())).encode()
    return {"content": body, "headers": web.signed(body)}


class TestWhileRedisIsGone:
    def test_it_is_part_of_the_picture(self, database_url: str, tmp_path: Path) -> None:
        server = RedisServer(tmp_path)
        server.start()
        try:
            with running_web(database_url, tmp_path, enable_redis_queue=True, redis_url=server.url) as web:
                assert web.get("/api/status").json()["redis"] == "ok"
                server.kill()
                body = until(
                    lambda: (seen := web.get("/api/status").json())["redis"] == "down" and seen,
                    "it to be seen",
                )
                assert "redis does not answer" in body["problems"]
                assert web.get("/readyz").status_code == 200
                assert_says_little(web.get("/api/status"))
        finally:
            server.kill()
