"""Going through all keys: each that stays is come to, whatever comes and goes, and distance is not waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from redis import Redis

from fixionmail.errors import RedisUnreachableError
from fixionmail.jobs.worker.scripts import Script
from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.scanning import scan
from tests.benchmarks.ops.distance import DistantProxy
from tests.integration.worker.servers import RedisServer

KEYS = 20_000
NAMES = Script(
    source="local found = redis.call('SCAN', ARGV[2], 'COUNT', ARGV[3]) return {found[1], 0, found[2]}"
)
"""The keys of a part, by a server that has no clock."""
SLOW = Script(
    source="local began, found = os.clock(), redis.call('SCAN', ARGV[2], 'COUNT', ARGV[3])\n"
    "for _ = 1, 100 * ARGV[3] do redis.call('EXISTS', 'key') end\n"
    "return {found[1], math.floor((os.clock() - began) * 1000000), found[2]}"
)
"""The same, and takes so long with each key that a part must be small."""


def fill(redis: Any, first: int = 0, count: int = KEYS) -> set[bytes]:
    names = [f"key-{n}" for n in range(first, first + count)]
    redis.mset(dict.fromkeys(names, ""))
    return {name.encode() for name in names}


def seen(steps: Iterator[tuple[int, Any]]) -> Counter[bytes]:
    return Counter(key for _, keys in steps for key in keys)


@pytest.mark.parametrize("script", [NAMES, SLOW], ids=["without a clock", "slow"])
def test_each_key_is_come_to_once_while_nothing_changes(
    redis: Redis, reader: RedisReader, script: Script
) -> None:
    keys = fill(redis, count=KEYS if script is NAMES else 3000)

    assert seen(scan(reader, script)) == Counter(keys)


def test_an_empty_server_is_one_part(redis: Redis, reader: RedisReader) -> None:
    assert [keys for _, keys in scan(reader, NAMES)] == [[]]


@pytest.mark.parametrize("before", [1, 5, 30])
def test_no_key_that_stays_is_missed_while_very_many_come_and_go(
    redis: Any, reader: RedisReader, before: int
) -> None:
    keys = fill(redis)
    found: Counter[bytes] = Counter()

    for at, (_, part) in enumerate(scan(reader, NAMES), 1):
        found.update(part)
        if at == before:
            fill(redis, KEYS, 5 * KEYS)  # the table of keys grows
        if at == before + 10:
            redis.delete(*(f"key-{n}" for n in range(KEYS, 6 * KEYS)))  # and shrinks

    assert keys <= set(found)


def test_no_key_that_stays_is_missed_while_a_few_change_between_any_two_parts(
    redis: Any, reader: RedisReader
) -> None:
    keys = fill(redis)
    found: Counter[bytes] = Counter()

    for at, (_, part) in enumerate(scan(reader, NAMES)):
        found.update(part)
        redis.set(f"new-{at}", "")
        redis.delete(f"new-{at - 3}")

    assert keys <= set(found)


def test_parts_are_as_small_as_the_server_is_slow(redis: Redis, reader: RedisReader) -> None:
    fill(redis, count=3000)

    parts = [keys for keys, _ in scan(reader, SLOW)]

    assert parts[0] == 500
    assert max(parts[-10:]) < 200


def test_far_away_the_round_trips_are_not_waited_for_one_by_one(redis: Redis, server: RedisServer) -> None:
    keys = fill(redis, count=2 * KEYS)
    far = DistantProxy(server.port, 0.03)

    with closing(RedisReader(far.url)) as reader:
        began = time.monotonic()
        found = seen(scan(reader, NAMES))
        took = time.monotonic() - began

    assert set(found) == keys
    assert reader.commands > 80
    assert took < reader.commands * 0.03 / 2


def test_an_audit_far_away_finds_what_one_nearby_does(
    redis: Any, reader: RedisReader, server: RedisServer
) -> None:
    redis.sadd("rq:queues", "rq:queue:reports")
    many = redis.pipeline(transaction=False)
    for n in range(8000):
        many.hset(f"rq:job:job-{n}", mapping={"status": "finished", "origin": "reports"})
        if n % 1000:
            many.zadd("rq:finished:reports", {f"job-{n}": 2_000_000_000})
    many.execute()
    far = DistantProxy(server.port, 0.03)

    *_, near_by = audit(reader)
    with closing(RedisReader(far.url)) as distant:
        *_, far_away = audit(distant)

    assert [(finding.kind, finding.count) for finding in near_by.findings] == [("record-without-entry", 8)]
    assert {finding.kind: set(finding.subjects) for finding in far_away.findings} == {
        finding.kind: set(finding.subjects) for finding in near_by.findings
    }


def test_nothing_more_is_asked_for_once_nobody_listens(redis: Redis, reader: RedisReader) -> None:
    fill(redis, count=5 * KEYS)
    steps = scan(reader, NAMES)
    next(steps)

    steps.close()  # type: ignore[attr-defined]

    sent = reader.commands
    assert sent < 30
    time.sleep(0.05)
    assert reader.commands == sent


def test_a_server_that_goes_away_is_said_to_be_away(tmp_path: Any) -> None:
    server = RedisServer(tmp_path)
    server.start()
    with Redis.from_url(server.url) as client, closing(RedisReader(server.url)) as reader:
        fill(client, count=5 * KEYS)
        steps = scan(reader, NAMES)
        next(steps)
        server.kill()
        with pytest.raises(RedisUnreachableError):
            list(steps)
