"""What machines ask: alive, ready, status, metrics."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fixionmail.errors import DatabaseUnreachableError
from fixionmail.web.cached import Cached
from fixionmail.web.threads import MOST_UNDER_WAY, BusyError, Threads
from tests.commands import until
from tests.web.conftest import Web

KEPT = {"status", "mode", "queue", "deliveries", "redis", "workers", "capacity"}
"""Fields that the earlier FixionMail had, on which dashboards may rely."""


def heartbeat(web: Web, kind: str, info: dict[str, Any]) -> None:
    web.world.store.leases.heartbeat(
        process=f"{kind}@secret-host:1",
        kind=kind,
        host="secret-host",
        pid=1,
        version="0",
        started_at=datetime.now(UTC),
        info=info,
    )


def fresh_status(web: Web) -> dict[str, Any]:
    """A report that was made after this moment."""
    asked_at = datetime.now(UTC)

    def look() -> Any:
        body = web.get("/api/status").json()
        return body if datetime.fromisoformat(body["now"]) > asked_at else None

    found: dict[str, Any] = until(look, "a fresh report")
    return found


class TestStatus:
    def test_keeps_the_fields_that_dashboards_know(self, web: Web) -> None:
        assert set(web.get("/api/status").json()) >= KEPT

    def test_tells_what_there_is_in_numbers_and_what_is_wrong_in_fixed_words(self, web: Web) -> None:
        world = web.world
        world.jobs(3)
        world.deliveries(2)
        for table in ("story_jobs", "scheduled_deliveries"):
            world.change(f"update {table} set local_date = %s", datetime.now(UTC).date())
        world.lead("scheduler")
        heartbeat(web, "worker", {"concurrency": 50, "note": "s3cret"})
        world.store.leases.set_switch(name="mail_held", on=True, by="Annika", host="desk", reason="s3cret")

        body = fresh_status(web)

        assert body["status"] == "degraded"
        assert body["problems"] == ["no delivery loop", "mail is held"]
        assert body["jobs"]["waiting"] == 3
        assert body["deliveries"]["due"] == 2
        assert body["deliveries"]["oldest_due_seconds"] >= 3600
        assert body["deliveries"]["today"] == {"pending": 2}
        assert body["funnel"] == {"planned": 5, "written": 2, "sent": 0, "delivered": 0, "failed": 0}
        assert body["loops"]["scheduler"] == {"led": True, "last_tick_seconds": None}
        assert body["workers"] == {"count": 1, "slots": 50}
        assert body["redis"] == "ok"
        assert set(body["queue"]) == {"emails", "stories"}
        assert not body["stale"]

    def test_names_no_person_host_or_secret(self, web: Web) -> None:
        world = web.world
        (delivery,) = world.deliveries()
        world.store.leases.set_switch(
            name="scheduler_paused", on=True, by="Annika", host="desk", reason="s3cret"
        )
        heartbeat(web, "worker", {"concurrency": 50})
        fresh_status(web)
        for path in ("/api/status", "/metrics"):
            text = web.get(path).text
            for word in ("@", "Annika", "desk", "s3cret", "secret-host", str(delivery), "postgres"):
                assert word not in text


class TestMetrics:
    def test_can_be_read_by_prometheus(self, web: Web) -> None:
        answer = web.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert families["fixionmail_up"].samples[0].value == 1
        assert {sample.labels["loop"] for sample in families["fixionmail_loop_led"].samples} == {
            "scheduler",
            "delivery",
        }
        assert all(family.documentation for family in families.values())


class TestReadiness:
    def test_is_given_while_the_database_answers(self, web: Web) -> None:
        assert web.get("/readyz").json() == {"ready": True}

    def test_is_not_given_to_a_database_that_lacks_migrations(self, web: Web) -> None:
        web.world.change("update fixionmail_migrations set version = version + 1000 where version = 17")
        try:
            until(lambda: web.get("/readyz").status_code == 503, "a look at the migrations")
            assert web.get("/readyz").json() == {"ready": False}
            assert web.get("/healthz").text == "ok"
        finally:
            web.world.change("update fixionmail_migrations set version = 17 where version = 1017")
        until(lambda: web.get("/readyz").status_code == 200, "another look")


class TestCached:
    """The value that many ask for."""

    @pytest.fixture
    def threads(self) -> Any:
        threads = Threads(2)
        yield threads
        threads.close()

    async def _many(self, cached: Cached[int], count: int) -> list[Any]:
        return await asyncio.gather(*(cached.get() for _ in range(count)))

    def test_is_fetched_once_for_all_who_ask_at_once(self, threads: Threads) -> None:
        fetched: list[int] = []
        cached = Cached(lambda: fetched.append(1) or len(fetched), threads, seconds=60)  # type: ignore[func-returns-value]
        answers = asyncio.run(self._many(cached, 1000))
        assert {answer.value for answer in answers} == {1}

    def test_is_served_stale_while_it_cannot_be_fetched(self, threads: Threads) -> None:
        values = iter([7])

        def fetch() -> int:
            try:
                return next(values)
            except StopIteration:
                raise DatabaseUnreachableError("away") from None

        async def ask() -> list[Any]:
            cached = Cached(fetch, threads, seconds=0)
            return [await cached.get(), await cached.get(), await cached.get()]

        first, second, third = asyncio.run(ask())
        assert (first.value, first.failing) == (7, False)
        assert (second.value, second.failing) == (7, True)
        assert (third.value, third.failing) == (7, True)

    def test_is_served_stale_while_its_fetch_hangs_and_only_the_first_waits(self, threads: Threads) -> None:
        let_go, calls = threading.Event(), iter([lambda: 7, lambda: let_go.wait(60)])

        async def ask() -> tuple[Any, float]:
            cached: Cached[Any] = Cached(lambda: next(calls)(), threads, seconds=0, patience=1.0)
            await cached.get()
            await cached.get()
            begun = time.monotonic()
            last = await cached.get()
            waited = time.monotonic() - begun
            let_go.set()
            return last, waited

        last, waited = asyncio.run(ask())
        assert (last.value, last.failing) == (7, True)
        assert waited < 1.0


def test_more_calls_than_can_be_made_are_refused_at_once() -> None:
    threads, let_go = Threads(1), threading.Event()

    async def ask() -> Any:
        under_way = [asyncio.ensure_future(threads.run(let_go.wait, 20)) for _ in range(MOST_UNDER_WAY)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await threads.run(int)
        let_go.set()
        await asyncio.gather(*under_way)
        return await threads.run(int)

    assert asyncio.run(ask()) == 0
    threads.close()
