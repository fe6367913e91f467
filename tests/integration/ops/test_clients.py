"""Who sends Redis how many commands: counted by the server, or as our processes report it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from redis import Redis

from fixionmail.jobs.worker.connections import commands_sent, connect
from fixionmail.ops.clients import ClientCounts, reported
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.views.database import ProcessView
from fixionmail.processes.fleet import Fleet
from tests.contract.store.world import now
from tests.integration.worker.servers import RedisServer


def test_connections_are_counted_under_the_name_they_gave_themselves(
    server: RedisServer, reader: RedisReader, tmp_path: Path
) -> None:
    counts = ClientCounts(reader, Fleet(tmp_path))
    with Redis.from_url(server.url, client_name="an-rq-worker") as stranger:
        for _ in range(40):
            stranger.ping()
        costs = {cost.name: cost for cost in counts.look((), now())}
        assert costs["an-rq-worker"].connections == 1
        before = costs["an-rq-worker"].commands
        assert before >= 40
        for _ in range(7):
            stranger.ping()
        costs = {cost.name: cost for cost in counts.look((), now() + timedelta(minutes=1))}
    assert costs["an-rq-worker"].commands == before + 7
    assert 6 < costs["an-rq-worker"].per_minute <= 7


def test_a_connection_of_this_machine_without_a_name_is_called_by_its_process(
    reader: RedisReader, tmp_path: Path
) -> None:
    names = [cost.name for cost in ClientCounts(reader, Fleet(tmp_path)).look((), now())]
    assert "this console" in names


def test_asking_is_one_command_and_never_monitor(redis: Any, reader: RedisReader, tmp_path: Path) -> None:
    counts = ClientCounts(reader, Fleet(tmp_path))
    counts.look((), now())
    redis.config_resetstat()
    counts.look((), now())
    called = {name: row["calls"] for name, row in redis.info("commandstats").items()}
    assert called == {"cmdstat_client|list": 1, "cmdstat_config|resetstat": 1}


def test_where_the_server_does_not_count_processes_are_shown_as_they_report_themselves() -> None:
    def process(**info: object) -> ProcessView:
        return ProcessView(
            process="worker@a:7:x",
            kind="worker",
            host="a",
            pid=7,
            version="1",
            started_at=now() - timedelta(minutes=10),
            silent_seconds=0.0,
            info=info,
        )

    (cost,) = reported([process(redis_commands=300), process(), process(redis_commands="many")], now())
    assert (cost.name, cost.connections, cost.commands) == ("worker on a, pid 7", None, 300)
    assert 29 < cost.per_minute <= 30


def test_a_process_counts_single_commands_and_those_of_pipelines(server: RedisServer) -> None:
    with connect(server.url) as client:
        client.ping()
        before = commands_sent()
        client.ping()
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(3):
                pipeline.ping()
            pipeline.execute()
        assert commands_sent() - before == 4
