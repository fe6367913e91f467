"""A real web service on a real database and a real Redis, spoken to over HTTP."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fixionmail.settings import Settings
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from fixionmail.web.serving import served
from tests.contract.store.world import World
from tests.integration.worker.servers import free_port
from tests.postgres import PostgresServer
from tests.standins.resend_webhooks import new_secret, signature

PUBLIC = "stories.example.com"


@dataclass(frozen=True)
class Web:
    """A running service. ``client`` comes through the front door."""

    url: str
    secret: str
    client: httpx.Client
    world: World

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET it."""
        return self.client.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST it."""
        return self.client.post(path, **options)

    def tell(self, body: bytes | Mapping[str, Any], **changes: Any) -> httpx.Response:
        """Post an event, signed as the provider signs it unless a change says otherwise."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.post("/webhooks/resend", content=content, headers=self.signed(content, **changes))

    def signed(
        self,
        body: bytes,
        *,
        message_id: str | None = None,
        at: float | None = None,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The headers of an event that happened now."""
        name = message_id or f"msg_{secrets.token_hex(8)}"
        timestamp = int(time.time() if at is None else at)
        return {
            "content-type": "application/json",
            "svix-id": name,
            "svix-timestamp": str(timestamp),
            "svix-signature": signature(secret or self.secret, name, timestamp, body),
            **(headers or {}),
        }


@contextmanager
def running_web(database_url: str, home: Path, **settings: Any) -> Iterator[Web]:
    """The service with these settings, while inside."""
    port, secret = free_port(), new_secret()
    chosen = {
        "database_url": database_url,
        "enable_redis_queue": False,
        "app_base_url": f"https://{PUBLIC}",
        "resend_webhook_secret": secret,
        "fixionmail_home": home,
        "port": port,
        **settings,
    }
    with ExitStack() as stack:
        stack.enter_context(served(Settings(_env_file=None, **chosen)))  # type: ignore[call-arg]
        store = Store.over(DirectTransport(database_url, 4))
        stack.callback(store.close)
        connection = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        url = f"http://127.0.0.1:{port}"
        client = stack.enter_context(httpx.Client(base_url=url, headers={"host": PUBLIC}, timeout=30))
        yield Web(url, secret, client, World(store, connection))


@pytest.fixture(scope="module")
def web(
    postgres_server: PostgresServer, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    """A service beside workers and loops that run elsewhere, one for each file of tests."""
    with (
        postgres_server.migrated_database() as database,
        running_web(
            database, tmp_path_factory.mktemp("home"), enable_redis_queue=True, redis_url=redis_server
        ) as service,
    ):
        yield service
