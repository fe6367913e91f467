"""Who sends Redis how many commands: counted by the server, or as our processes report it."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta
from typing import Any

from redis import Redis

from fixionmail.jobs.worker.connections import commands_sent, connect
from fixionmail.ops.clients import ClientCounts
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.redis_look import look
from fixionmail.ops.views.database import ProcessView
from tests.contract.store.world import now
from tests.integration.worker.servers import RedisServer


def nobody() -> dict[str, int]:
    """As if all connections came from other machines."""
    return {}


def test_others_are_counted_by_the_server_under_the_name_they_gave_themselves(
    server: RedisServer, reader: RedisReader
) -> None:
    counts = ClientCounts(reader, nobody)
    with Redis.from_url(server.url, client_name="an-rq-worker") as stranger:
        for _ in range(40):
            stranger.ping()
        began = now()
        costs = {cost.name: cost for cost in counts.look((), began)}
        assert costs["an-rq-worker"].connections == 1
        assert costs["an-rq-worker"].per_minute is None  # it is too young to tell
        before = costs["an-rq-worker"].commands
        assert before >= 40
        for _ in range(7):
            stranger.ping()
        costs = {cost.name: cost for cost in counts.look((), began + timedelta(minutes=1))}
    assert costs["an-rq-worker"].commands == before + 7
    rate = costs["an-rq-worker"].per_minute
    assert rate is not None
    assert 6 < rate <= 7


def test_this_process_is_counted_by_itself_alone(redis: Redis, reader: RedisReader) -> None:
    counts = ClientCounts(reader)
    look(reader)
    ours = next(cost for cost in counts.look((), now()) if cost.name == "this console")
    assert ours.connections is None
    assert 1 <= ours.commands <= 4  # the look, whatever it does inside, and the list of clients


def test_a_process_of_this_machine_that_reports_itself_is_not_counted_twice(
    redis: Redis, reader: RedisReader
) -> None:
    mine = process(redis_commands=300)
    here = replace(mine, host=socket.gethostname(), pid=4_000_000)
    counts = ClientCounts(reader, lambda: {row["addr"]: 4_000_000 for row in reader.clients()})
    names = [cost.name for cost in counts.look([here], now())]
    assert sorted(names) == ["this console", f"worker on {socket.gethostname()}, pid 4000000"]


def test_asking_is_one_command_and_never_monitor(redis: Any, reader: RedisReader) -> None:
    counts = ClientCounts(reader)
    counts.look((), now())
    redis.config_resetstat()
    counts.look((), now())
    called = {name: row["calls"] for name, row in redis.info("commandstats").items()}
    assert called == {"cmdstat_client|list": 1, "cmdstat_config|resetstat": 1}


def process(**info: object) -> ProcessView:
    """A worker that began ten minutes ago."""
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


def test_processes_are_shown_as_they_report_themselves_at_the_rate_since_they_were_first_seen(
    redis: Redis, reader: RedisReader
) -> None:
    counts, name = ClientCounts(reader), "worker on a, pid 7"
    processes = [process(redis_commands=300), process(), process(redis_commands="many")]
    began = now()
    costs = {cost.name: cost for cost in counts.look(processes, began)}
    assert [each for each in costs if each.startswith("worker")] == [name]
    assert (costs[name].commands, costs[name].per_minute, costs[name].per_month) == (300, None, None)
    costs = {
        cost.name: cost for cost in counts.look([process(redis_commands=310)], began + timedelta(minutes=2))
    }
    rate = costs[name].per_minute
    assert rate is not None
    assert 4.9 < rate <= 5


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
