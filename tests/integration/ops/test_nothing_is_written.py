"""Looking never writes: shown with MONITOR, with the server's own counts of commands, and by comparing every key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.failures import grouped
from fixionmail.ops.filters import parse
from fixionmail.ops.job_detail import detail
from fixionmail.ops.pages import page
from fixionmail.ops.redis_look import look
from fixionmail.ops.search import search
from fixionmail.ops.snapshot import Observer
from tests.integration.worker.monitor import sent_commands
from tests.integration.worker.servers import RedisServer

NOW = datetime.now(UTC)
LOOKS: dict[str, Callable[[RedisReader], object]] = {
    "look": look,
    "page": lambda reader: page(reader, limit=3, after=page(reader, limit=3).next),
    "search": lambda reader: list(search(reader, parse("err:division a"), NOW)),
    "failures": lambda reader: list(grouped(reader, NOW)),
    "job": lambda reader: [detail(reader, job) for job in ("broken", "first", "waiting", "nobody")],
    "audit": lambda reader: list(audit(reader)),
}


@pytest.mark.parametrize("name", LOOKS)
def test_looking_sends_greetings_and_read_only_scripts_and_nothing_else(
    old_deployment: Redis, reader: RedisReader, server: RedisServer, name: str
) -> None:
    sent = sent_commands(server.url, lambda: LOOKS[name](reader))

    assert sent
    assert set(sent) <= {"PING", "EVALSHA_RO", "EVAL_RO"}


@pytest.mark.parametrize("name", LOOKS)
def test_looking_changes_no_key_and_calls_no_command_that_could(
    old_deployment: Any, reader: RedisReader, name: str
) -> None:
    writes = _write_commands(old_deployment)
    before = _everything(old_deployment)
    old_deployment.config_resetstat()

    LOOKS[name](reader)

    called = {command.removeprefix("cmdstat_") for command in old_deployment.info("commandstats")}
    assert called & writes == set()
    assert _everything(old_deployment) == before


def test_a_whole_look_is_one_command(old_deployment: Redis, server: RedisServer) -> None:
    observer = Observer(redis_url=server.url)
    observer.look()

    sent = sent_commands(server.url, lambda: observer.look())

    assert sent == ["EVALSHA_RO"]
    observer.close()


def _write_commands(redis: Any) -> set[str]:
    """All commands that the server itself calls writes."""
    return {
        str(name).lower() for name, about in redis.command().items() if "write" in map(str, about["flags"])
    }


def _everything(redis: Any) -> dict[bytes, tuple[bytes, bool]]:
    return {key: (redis.dump(key), redis.pttl(key) > 0) for key in redis.scan_iter()}
