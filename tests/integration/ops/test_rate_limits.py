"""Jobs that RQ 3's rate limits hold back, as a stock client and a stock worker of rq 3.0 leave them: found, counted,
explained and audited like any others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.rate_limit import RateLimit
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from fixionmail.ops import why
from fixionmail.ops.actions import Hands
from fixionmail.ops.audit import audit
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.filters import hints, parse
from fixionmail.ops.job_detail import detail
from fixionmail.ops.matching import rows_matching
from fixionmail.ops.pages import page
from fixionmail.ops.redis_look import look
from fixionmail.ops.search import search
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.jobs import JobDetail, JobRow
from tests.integration.ops.acting import repair
from tests.integration.worker.functions import HERE
from tests.integration.worker.monitor import sent_commands
from tests.integration.worker.servers import RedisServer
from tests.integration.worker.waiting import eventually

HELD = ("rate_limited",)


class StockWorker(SimpleWorker):  # type: ignore[misc, unused-ignore]
    """rq's own worker, for a test's thread."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        """A thread has none."""


def limited(
    redis: Any, *ids: str, queue: str = "imports", limit: str = "shop", most: int = 1, call: str = "nothing"
) -> None:
    """Enqueue jobs under a limit, each a second after the one before, which is how finely RQ puts it down."""
    for job_id in ids:
        Queue(queue, connection=redis).enqueue(
            f"{HERE}.{call}", job_id=job_id, rate_limit=RateLimit(key=limit, concurrency=most)
        )
        shift_back(redis, limit)


def shift_back(redis: Any, limit: str) -> None:
    """Let a second pass for what is held back."""
    for job_id in redis.zrange(f"rq:rl:{limit}:rate_limited", 0, -1):
        redis.zincrby(f"rq:rl:{limit}:rate_limited", -1, job_id)


@contextmanager
def working(redis: Redis, path: Path, queue: str = "imports") -> Iterator[None]:
    """A stock worker that is busy with the first job, ``careless``, until the block ends."""
    gate = path / "gate"
    worker = StockWorker([queue], connection=redis)
    thread = threading.Thread(target=worker.work, kwargs={"burst": True, "logging_level": "CRITICAL"})
    thread.start()
    try:
        eventually(lambda: (path / "notes").exists(), "it has begun")
        yield
    finally:
        gate.touch()
        thread.join()


def work_off(redis: Redis, queue: str = "imports") -> None:
    StockWorker([queue], connection=redis).work(burst=True, logging_level="CRITICAL")


def shown(reader: RedisReader, limit: int = 50, **options: Any) -> list[JobRow]:
    """The rows on all pages; each page is one command."""
    found: list[JobRow] = []
    after = ""
    while True:
        part = page(reader, limit=limit, after=after, **options)
        found += part.rows
        after = part.next
        if not after:
            return found


def ids(rows: list[JobRow]) -> list[str]:
    return [row.job_id for row in rows]


def found(reader: RedisReader, words: str) -> set[str]:
    return {row.job_id for step in search(reader, parse(words), datetime.now(UTC)) for row in step.rows}


# ---- Pages, search, counts -------------------------------------------------------------------------------------------


def test_held_back_jobs_are_listed_newest_first_with_their_limit(redis: Redis, reader: RedisReader) -> None:
    limited(redis, "goes", "a", "b", "c")

    assert ids(shown(reader, states=HELD)) == ["c", "b", "a"]
    assert ids(shown(reader, states=("queued",))) == ["goes"]
    (newest, *_) = page(reader, states=HELD, limit=1).rows
    assert page(reader, states=HELD, limit=1).total == 3
    assert (newest.state, newest.queue, newest.function) == ("rate_limited", "imports", f"{HERE}.nothing")
    assert newest.summary == "limit shop: ()"


def test_a_job_is_as_old_as_its_wait_for_the_limit_whenever_it_was_first_queued(
    redis: Any, reader: RedisReader
) -> None:
    limited(redis, "again", call="boom")
    work_off(redis)
    redis.hset("rq:job:again", "created_at", "2020-02-29T00:00:00.000000Z")
    limited(redis, "goes")
    before = datetime.now(UTC).replace(microsecond=0)

    Job.fetch("again", connection=redis).requeue()

    (row,) = shown(reader, states=HELD)
    assert row.at is not None
    assert before <= row.at <= datetime.now(UTC)
    assert found(reader, "state:rate_limited age<1h") == {"again"}
    assert found(reader, "state:rate_limited age>1h") == set()


@pytest.mark.parametrize("day", ["1970-01-01", "2000-02-29", "2026-12-31", "2100-03-01", "2399-12-31"])
def test_it_is_sorted_among_others_by_any_day(redis: Any, reader: RedisReader, day: str) -> None:
    limited(redis, "goes", "held")
    at = datetime.fromisoformat(f"{day}T23:59:59+00:00")
    redis.zadd("rq:rl:shop:rate_limited", {"held": at.timestamp()})
    texts = {
        name: f"{at + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"
        for name, seconds in (("before", -1), ("after", 1))
    }
    for name, text in texts.items():
        redis.hset(f"rq:job:{name}", mapping={"status": "deferred", "origin": name, "created_at": text})
        redis.sadd("rq:queues", f"rq:queue:{name}")
        redis.zadd(f"rq:deferred:{name}", {name: 1})

    assert ids(shown(reader, states=("deferred", "rate_limited"))) == ["after", "held", "before"]


def test_every_job_is_on_exactly_one_page_over_all_states_limits_and_queues(
    redis: Any, reader: RedisReader
) -> None:
    for n in range(12):
        limited(redis, f"job-{n}", queue=f"queue-{n % 2}", limit=f"limit:{n % 3}")

    rows = shown(reader, limit=4)

    assert sorted(ids(rows)) == sorted(f"job-{n}" for n in range(12))
    assert sorted(row.state for row in rows) == ["queued"] * 3 + ["rate_limited"] * 9


def test_a_queue_shows_its_own_jobs_of_a_limit_that_spans_several(redis: Redis, reader: RedisReader) -> None:
    limited(redis, "goes")
    for n in range(40):
        limited(redis, f"job-{n}", queue="imports" if n % 4 else "exports")

    assert ids(shown(reader, limit=3, states=HELD, queue="exports")) == [
        f"job-{n}" for n in range(36, -1, -4)
    ]
    assert page(reader, states=HELD, queue="exports", limit=3).total == 10
    assert {row.queue for row in rows_matching(reader, "state:rate_limited queue:imports")} == {"imports"}
    assert found(reader, "state:rate_limited queue:exports id:job-3") == {"job-32", "job-36"}


def test_any_page_is_one_command_however_many_jobs_of_other_queues_come_before(
    redis: Any, reader: RedisReader
) -> None:
    limited(redis, "goes", "mine", queue="exports")
    names = [f"other-{n}" for n in range(12_000)]
    many = redis.pipeline(transaction=False)
    for name in names:
        many.hset(f"rq:job:{name}", mapping={"status": "rate_limited", "origin": "imports"})
    many.zadd("rq:rl:shop:rate_limited", {name: time.time() + 60 for name in names})
    many.execute()
    page(reader, states=HELD)
    before = reader.commands

    assert ids(shown(reader, states=HELD, queue="exports")) == ["mine"]
    assert reader.commands - before == 3  # each passes over 5,000


def test_a_search_finds_them_by_id_function_and_limit(redis: Redis, reader: RedisReader) -> None:
    limited(redis, "goes", "wanted", "unwanted")
    limited(redis, "first", "second", limit="printer")

    assert found(reader, "state:rate_limited id:unw") == {"unwanted"}
    assert found(reader, "state:rate_limited func:nothing printer") == {"second"}
    assert found(reader, "wanted") == {"wanted", "unwanted"}


def test_the_filter_knows_the_state(redis: Redis) -> None:
    assert parse("state:rate_limited,failed").states == ("rate_limited", "failed")
    assert [word for word, _ in hints("state:rate")] == ["state:rate_limited"]


def test_a_look_counts_them_by_queue_in_one_command(redis: Redis, reader: RedisReader) -> None:
    limited(redis, "goes", "a", "b")
    limited(redis, "c", queue="exports")
    limited(redis, "d", "e", queue="exports", limit="printer")
    look(reader)
    before = reader.commands

    counts = {queue.name: (queue.waiting, queue.rate_limited) for queue in look(reader).queues}

    assert counts == {"imports": (1, 2), "exports": (1, 2)}
    assert reader.commands - before == 1


def test_of_very_many_the_first_tell_how_all_are_divided(redis: Any, reader: RedisReader) -> None:
    limited(redis, "goes")
    limited(redis, "goes-too", queue="exports", limit="printer")
    names = [f"job-{n}" for n in range(10_000)]
    many = redis.pipeline(transaction=False)
    for n, name in enumerate(names):
        many.hset(
            f"rq:job:{name}", mapping={"status": "rate_limited", "origin": ("imports", "exports")[n % 2]}
        )
    many.zadd("rq:rl:shop:rate_limited", {name: n for n, name in enumerate(names)})
    many.execute()

    assert {queue.name: queue.rate_limited for queue in look(reader).queues} == {
        "imports": 5000,
        "exports": 5000,
    }
    assert page(reader, states=HELD, queue="exports").total == 5000


def test_another_prefix_is_another_deployment(redis: Redis, reader: RedisReader, server: RedisServer) -> None:
    enqueue = (
        "import sys; from redis import Redis; from rq import Queue; from rq.rate_limit import RateLimit\n"
        "for name in ('goes', 'held'):\n"
        "    Queue('orders', connection=Redis.from_url(sys.argv[1])).enqueue(\n"
        "        'time.time', job_id=name, rate_limit=RateLimit(key='till', concurrency=1))"
    )
    environment = os.environ | {"RQ_KEY_PREFIX": "shop{1}"}
    subprocess.run([sys.executable, "-c", enqueue, server.url], env=environment, check=True, timeout=60)

    with closing(RedisReader(server.url, prefix="shop{1}")) as shop:
        assert [(queue.name, queue.rate_limited) for queue in look(shop).queues] == [("orders", 1)]
        assert ids(shown(shop, states=HELD)) == ["held"]
        assert explained(shop, "held").places == ("rate_limited by till, 1 of 1 to be let through",)
        *_, last = audit(shop)
        assert last.findings == ()
    assert shown(reader) == []


# ---- Why -------------------------------------------------------------------------------------------------------------


def explained(reader: RedisReader, job_id: str) -> JobDetail:
    found = detail(reader, job_id)
    assert found is not None
    return found


def reason(server: RedisServer, job_id: str) -> tuple[str, bool]:
    """The last reason, and whether it passes by itself."""
    with closing(Observer(redis_url=server.url)) as observer:
        job = why.ask(observer, job_id)
    assert job is not None
    return job.why[-1], any(cure.automatic.startswith("RQ lets it through") for cure in job.cures)


def test_why_names_the_limit_who_is_let_through_and_how_many_come_before(
    redis: Redis, server: RedisServer, tmp_path: Path
) -> None:
    Queue("imports", connection=redis).enqueue(
        f"{HERE}.careless",
        str(tmp_path / "notes"),
        str(tmp_path / "gate"),
        job_id="runs",
        rate_limit=RateLimit(key="shop", concurrency=2),
    )
    limited(redis, "waits", queue="exports", most=2)
    limited(redis, "first", "second", "third", most=2)

    with working(redis, tmp_path):
        seen = reason(server, "third")

    assert seen == (
        "The rate limit shop holds it back: at most 2 of its jobs may be queued or running at a time, and 2 are: "
        "runs (started on imports), waits (queued on exports). 2 of 3 held back come before it.",
        False,
    )
    redis.lrem("rq:queue:exports", 0, "waits")
    work_off(redis)
    assert Job.fetch("third", connection=redis).get_status() == "finished"


def test_why_says_who_ended_without_making_room(redis: Any, server: RedisServer) -> None:
    limited(redis, "lost", "held")
    redis.delete("rq:job:lost")

    words, passes = reason(server, "held")

    assert (
        "and 1 is: lost (no record). 0 of 1 held back come before it. lost ended and did not make room."
        in words
    )
    assert passes


def test_why_says_that_there_is_room_which_nobody_has_given_it(redis: Any, server: RedisServer) -> None:
    limited(redis, "goes", "held")
    redis.delete("rq:rl:shop:allowed")

    words, passes = reason(server, "held")

    assert "may be queued or running at a time, and 0 are. 0 of 1" in words
    assert passes
    work_off(redis)
    assert Job.fetch("held", connection=redis).get_status() == "finished"


def test_why_says_that_the_limit_is_no_longer_on_record(redis: Any, server: RedisServer) -> None:
    limited(redis, "goes", "held")
    redis.delete("rq:rl:shop")

    words, passes = reason(server, "held")

    assert (
        "Redis no longer says how many of its jobs may run: RQ lets one through when another is queued."
        in words
    )
    assert not passes
    limited(redis, "another")
    work_off(redis)
    assert Job.fetch("held", connection=redis).get_status() == "finished"


# ---- The audit, and what it finds ------------------------------------------------------------------------------------


def odd(reader: RedisReader) -> dict[str, tuple[str, ...]]:
    *_, last = audit(reader)
    return {finding.kind: finding.subjects for finding in last.findings}


@pytest.fixture
def hands(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hands]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with closing(Hands(redis_url=server.url)) as opened:
        yield opened


def test_what_stock_rq_holds_back_agrees_with_itself(
    redis: Redis, reader: RedisReader, tmp_path: Path
) -> None:
    limited(redis, "failed", call="boom")
    work_off(redis)
    limited(redis, "goes", "held", queue="exports")
    Job.fetch("failed", connection=redis).requeue()

    assert len(shown(reader, states=HELD)) == 2
    assert odd(reader) == {}


def test_an_entry_of_a_limit_without_a_record_is_found_and_removed(
    redis: Any, reader: RedisReader, hands: Hands
) -> None:
    limited(redis, "goes", "held", "gone")
    redis.delete("rq:job:gone")

    assert odd(reader) == {"entry-without-record": ("gone",)}
    assert repair(hands, ["gone"]) == {"gone": "removed"}
    assert odd(reader) == {}
    assert ids(shown(reader, states=HELD)) == ["held"]


def test_a_job_that_its_limit_has_lost_is_found_and_put_back(
    redis: Any, reader: RedisReader, hands: Hands
) -> None:
    limited(redis, "goes", "held", "lost")
    redis.zrem("rq:rl:shop:rate_limited", "lost")

    assert odd(reader) == {"record-without-entry": ("lost",)}
    assert repair(hands, ["lost"]) == {"lost": "requeued"}
    assert odd(reader) == {}
    assert set(ids(shown(reader, states=HELD))) == {"held", "lost"}


def test_a_job_that_is_held_back_and_elsewhere_too_keeps_the_place_of_its_status(
    redis: Any, reader: RedisReader, hands: Hands
) -> None:
    limited(redis, "goes", "held", "canceled")
    redis.zadd("rq:rl:printer:rate_limited", {"held": time.time()})
    redis.sadd("rq:rl-keys", "printer")
    redis.hset("rq:job:canceled", "status", "canceled")
    redis.zadd("rq:canceled:imports", {"canceled": time.time()})

    assert {kind: set(subjects) for kind, subjects in odd(reader).items()} == {
        "several-places": {"held", "canceled"}
    }
    assert repair(hands, ["held", "canceled", "goes"]) == {
        "held": "kept",
        "canceled": "kept",
        "goes": "sound",
    }
    assert odd(reader) == {}
    assert ids(shown(reader, states=HELD)) == ["held"]


# ---- Laws ------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_by_looking_at_them(redis: Any, reader: RedisReader, server: RedisServer) -> None:
    limited(redis, "goes", "a", "b", "c")

    def looks() -> None:
        look(reader)
        shown(reader, limit=1, queue="imports")
        found(reader, "state:rate_limited id:b")
        detail(reader, "b")
        odd(reader)

    sent = sent_commands(server.url, looks)

    assert sent
    assert set(sent) <= {"PING", "EVALSHA_RO", "EVAL_RO"}


@pytest.mark.parametrize("score", ["nan", "-inf", "+inf", "1e300", "-5"])
def test_a_score_that_is_no_moment_hinders_nobody(redis: Any, reader: RedisReader, score: str) -> None:
    limited(redis, "goes", "held")
    if score != "nan":
        redis.execute_command("ZADD", "rq:rl:shop:rate_limited", score, "held")
    redis.hset("rq:rl:shop", "concurrency", score)

    (row,) = shown(reader, states=HELD)
    assert row.job_id == "held"
    limit = explained(reader, "held").limit
    assert limit is not None
    assert limit.place == 1


def test_keys_of_another_type_hinder_nobody(redis: Any, reader: RedisReader) -> None:
    limited(redis, "goes", "held")
    redis.set("rq:rl:broken:rate_limited", "text")
    redis.sadd("rq:rl-keys", "broken", b"\xff[/]")

    assert ids(shown(reader, states=HELD)) == ["held"]
    assert "rq:rl:broken:rate_limited" in look(reader).redis.broken
    redis.delete("rq:rl-keys")
    redis.set("rq:rl-keys", "text")
    assert shown(reader, states=HELD) == []
