"""``status``, ``metrics`` and ``audit`` of a whole deployment: what answers is shown, what does not is named."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from fixionmail.jobs.names import story_job_id
from tests.acceptance.conftest import Fixionmail
from tests.contract.store.world import World, now
from tests.integration.worker.servers import free_port

NOBODY = "postgresql://me:s3cret@127.0.0.1:{port}/stories"


@pytest.fixture
def fixionmail(fixionmail: Fixionmail, redis_url: str) -> Fixionmail:
    """Run ``fixionmail`` on a database and a Redis of its own, unless another is named."""
    return partial(fixionmail, REDIS_URL=redis_url)


@pytest.fixture
def no_database() -> dict[str, str]:
    """A setting that leads to nobody."""
    return {"DATABASE_URL": NOBODY.format(port=free_port())}


def values(text: str) -> dict[str, float]:
    """The metrics that have no label."""
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    return {each.name: each.value for each in samples if not each.labels}


class TestStatus:
    def test_tells_the_work_the_processes_and_what_holds_them_up(
        self, fixionmail: Fixionmail, world: World
    ) -> None:
        world.jobs(3)
        world.deliveries(2)
        world.change("update story_jobs set local_date = %s", now().date())
        world.store.leases.set_switch(name="mail_held", on=True, by="ada", host="h", reason="a look")
        world.store.leases.heartbeat(
            process="w@h:1",
            kind="worker",
            host="h",
            pid=1,
            version="1",
            started_at=now(),
            info={"pid": "[red]"},
        )
        seen = fixionmail("status", "--json").json()
        assert (seen["database"], seen["redis"], seen["mode"]) == ("ok", "ok", "unknown")
        assert (seen["jobs_waiting"], seen["jobs_running"], seen["deliveries_due"]) == (3, 0, 2)
        assert seen["funnel"] == {
            "day": str(now().date()), "planned": 5, "written": 2, "sent": 0, "delivered": 0, "failed": 0
        }  # fmt: skip
        assert (seen["leaders"]["scheduler"]["holder"], seen["leaders"]["delivery"]) == ("leader", None)
        assert [(worker["process"], worker["pid"]) for worker in seen["workers"]] == [("w@h:1", 1)]
        assert seen["switches"] == [{"name": "mail_held", "set_by": "ada", "reason": "a look"}]
        words = " ".join(fixionmail("status").out.split())
        assert "delivery nobody leads" in words
        assert "3 to write, 2 to send" in words
        assert "! All mail is held" in words
        assert {"mail-held", "no-delivery"} <= {finding["kind"] for finding in seen["findings"]}

    def test_without_its_database_shows_redis_and_is_exit_code_4(
        self, fixionmail: Fixionmail, no_database: dict[str, str]
    ) -> None:
        ended = fixionmail("status", "--json", **no_database)
        seen = ended.json()
        assert (ended.code, seen["redis"], seen["mode"]) == (4, "ok", "unknown")
        assert "does not answer" in seen["database"]
        assert "s3cret" not in ended.out + ended.err
        assert set(seen["queues"]) == {"emails", "stories"}
        assert (seen["funnel"], seen["leaders"], seen["jobs_waiting"]) == (None, None, None)
        for_people = fixionmail("status", **no_database)
        assert (for_people.code, "queue stories" in for_people.out) == (4, True)

    def test_with_nothing_that_answers_is_a_sentence(
        self, fixionmail: Fixionmail, no_database: dict[str, str]
    ) -> None:
        ended = fixionmail("status", REDIS_URL=f"redis://127.0.0.1:{free_port()}", **no_database)
        assert (ended.code, ended.out) == (4, "")
        assert "does not answer" in ended.err

    def test_without_its_redis_shows_the_database_and_is_exit_code_0(self, fixionmail: Fixionmail) -> None:
        ended = fixionmail("status", "--json", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
        assert (ended.code, ended.json()["database"]) == (0, "ok")
        assert "refused" in ended.json()["redis"]


class TestMetrics:
    def test_can_be_read_by_prometheus(self, fixionmail: Fixionmail, world: World) -> None:
        world.jobs(2)
        world.change("update story_jobs set local_date = %s", now().date())
        ended = fixionmail("metrics")
        assert ended.code == 0
        read = values(ended.out)
        assert (read["fixionmail_up"], read["fixionmail_redis_up"], read["fixionmail_jobs_waiting"]) == (
            1,
            1,
            2,
        )

    def test_tell_that_the_database_is_away_beside_what_redis_holds(
        self, fixionmail: Fixionmail, no_database: dict[str, str]
    ) -> None:
        ended = fixionmail("metrics", **no_database)
        assert ended.code == 4
        assert (values(ended.out)["fixionmail_up"], values(ended.out)["fixionmail_redis_up"]) == (0, 1)
        assert 'fixionmail_queue_waiting{queue="stories"} 0.0' in ended.out


class TestAudit:
    def stray(self, redis_url: str) -> str:
        """A job in our queue that stands for nothing."""
        name = story_job_id(uuid4())
        with Redis.from_url(redis_url) as redis:
            redis.sadd("rq:queues", "rq:queue:stories")
            redis.hset(f"rq:job:{name}", mapping={"status": "queued", "origin": "stories"})
            redis.rpush("rq:queue:stories", name)
        return name

    def test_asks_the_database_of_our_own_redis(self, fixionmail: Fixionmail, redis_url: str) -> None:
        stray = self.stray(redis_url)
        ended = fixionmail("audit", "--json")
        assert ended.code == 1
        (finding,) = ended.json()["findings"]
        assert (finding["kind"], finding["subjects"]) == ("unknown-to-database", [stray])
        assert fixionmail("audit", "--redis-url", redis_url).code == 0

    def test_says_when_the_database_could_not_be_asked(
        self, fixionmail: Fixionmail, no_database: dict[str, str]
    ) -> None:
        ended = fixionmail("audit", **no_database)
        assert (ended.code, ended.out.startswith("Nothing is wrong")) == (4, True)
        assert ended.err.startswith("The database could not be asked: ")
