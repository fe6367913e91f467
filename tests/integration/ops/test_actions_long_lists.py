"""Jobs that wait in a list of hundreds of thousands: it is gone through in slices, and nothing else in it moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from redis import Redis

from fixionmail.ops import actions
from fixionmail.ops.actions import Hands
from tests.integration.ops.acting import act, repair, run
from tests.integration.worker.servers import RedisServer

LENGTH = 160_000
"""More than one command looks through."""
LIST = "rq:queue:imports"
CHOSEN = tuple(f"job-{n}" for n in (0, 1, 2499, 2500, 2501, 79_999, 80_000, 150_000, LENGTH - 1))


@pytest.fixture
def hands(
    redis: Redis, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hands]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with closing(Hands(redis_url=server.url)) as opened:
        yield opened


@pytest.fixture
def listed(redis: Any) -> list[str]:
    """The ids in the list, of which the chosen ones have records."""
    ids = [f"job-{n}" for n in range(LENGTH)]
    for first in range(0, LENGTH, 20_000):
        redis.rpush(LIST, *ids[first : first + 20_000])
    redis.sadd("rq:queues", LIST)
    for job_id in CHOSEN:
        redis.hset(f"rq:job:{job_id}", mapping={"status": "queued", "origin": "imports"})
    return ids


def waiting(redis: Any) -> list[str]:
    return [raw.decode() for raw in redis.lrange(LIST, 0, -1)]


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_those_that_are_taken_out_leave_the_others_in_their_order(
    redis: Any, hands: Hands, listed: list[str], action: str
) -> None:
    assert act(hands, action, *CHOSEN) == dict.fromkeys(CHOSEN, "done")
    assert waiting(redis) == [each for each in listed if each not in CHOSEN]
    left = [redis.hget(f"rq:job:{each}", "status") for each in CHOSEN]
    assert set(left) == ({b"canceled"} if action == "cancel" else {None})


def test_one_that_is_there_twice_is_taken_out_twice(redis: Any, hands: Hands, listed: list[str]) -> None:
    redis.lpush(LIST, CHOSEN[-1])
    redis.rpush(LIST, CHOSEN[-1])
    assert act(hands, "cancel", CHOSEN[-1]) == {CHOSEN[-1]: "done"}
    assert waiting(redis) == listed[:-1]


def test_one_that_moved_on_stays_where_it_is(redis: Any, hands: Hands, listed: list[str]) -> None:
    moved, other = CHOSEN[3:5]
    previewed = actions.preview(hands, "cancel", (moved, other))
    redis.hset(f"rq:job:{moved}", "enqueued_at", "2031-05-14T08:00:00.000000Z")
    assert run(hands, previewed) == {moved: "moved on", other: "done"}
    assert waiting(redis) == [each for each in listed if each != other]


def test_what_waits_and_what_a_worker_has_taken_are_told_apart_and_nothing_is_moved(
    redis: Any, hands: Hands, listed: list[str]
) -> None:
    redis.hset("rq:job:popped", mapping={"status": "queued", "origin": "imports"})
    assert act(hands, "requeue", CHOSEN[0], "popped", CHOSEN[-1]) == {
        CHOSEN[0]: "queued",
        "popped": "taken",
        CHOSEN[-1]: "queued",
    }
    assert act(hands, "cancel", "popped") == {"popped": "done"}
    assert waiting(redis) == listed


def test_repair_looks_at_one_after_the_other(redis: Any, hands: Hands, listed: list[str]) -> None:
    redis.hset(f"rq:job:{CHOSEN[0]}", "status", "finished")
    redis.delete(f"rq:job:{CHOSEN[1]}")
    assert repair(hands, CHOSEN[:3]) == {CHOSEN[0]: "put back", CHOSEN[1]: "removed", CHOSEN[2]: "sound"}
    assert waiting(redis) == listed[2:]


def test_while_others_take_from_the_head_and_add_at_the_tail_none_is_missed_and_no_other_lost(
    redis: Any, hands: Hands, listed: list[str], server: RedisServer
) -> None:
    chosen = [f"job-{n}" for n in range(100_000, LENGTH, 120)]
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in chosen:
            pipeline.hset(f"rq:job:{job_id}", mapping={"status": "queued", "origin": "imports"})
        pipeline.execute()
    popped: list[str] = []
    pushed: list[str] = []
    ended = Event()

    def others() -> None:
        with Redis.from_url(server.url) as client:
            while not ended.is_set():
                popped.extend(raw.decode() for raw in client.lpop(LIST, 3) or [])
                pushed.append(f"later-{len(pushed)}")
                client.rpush(LIST, pushed[-1])

    thread = Thread(target=others)
    thread.start()
    try:
        outcomes = act(hands, "cancel", *chosen)
    finally:
        ended.set()
        thread.join()
    assert outcomes == dict.fromkeys(chosen, "done")
    assert len(popped) > 100
    gone = {*chosen, *popped}
    assert waiting(redis) == [each for each in (*listed, *pushed) if each not in gone]


def test_two_operators_at_once_leave_none_behind(
    redis: Any, hands: Hands, listed: list[str], server: RedisServer
) -> None:
    chosen = [f"job-{n}" for n in range(0, LENGTH, 400)]
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in chosen:
            pipeline.hset(f"rq:job:{job_id}", mapping={"status": "queued", "origin": "imports"})
        pipeline.execute()
    with closing(Hands(redis_url=server.url)) as others:
        other = Thread(target=act, args=(others, "cancel", *chosen[::2]))
        other.start()
        act(hands, "cancel", *chosen[1::2])
        other.join()
    assert waiting(redis) == [each for each in listed if each not in set(chosen)]
    assert redis.zcard("rq:canceled:imports") == len(chosen)
