"""Rows 11 to 13: workers with stories in flight, Redis and Postgres go away in every manner."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis

from fixionmail.processes import redis as local_redis
from fixionmail.store import embedded, migrations
from tests.commands import until
from tests.faults.deployment import Deployment, deployment
from tests.postgres import url_of
from tests.standins.faults import Fault

WORKER_LEASE_SECONDS = 91


def test_each_story_in_flight_in_a_killed_worker_is_written_once_by_another(queued: Deployment) -> None:
    queued.add_readers(6)
    with queued.run("scheduler"), queued.run("worker", fault="kill before complete_story_job_v2") as worker:
        assert worker.wait(60) == -signal.SIGKILL
    assert queued.world.value("select count(*) from story_jobs where state = 'running'") > 0

    queued.pass_time(seconds=WORKER_LEASE_SECONDS)
    with queued.run("scheduler"), queued.run("delivery"), queued.run("worker"):
        until(lambda: queued.world.value("select count(*) from stories") == 6, "all stories")
        queued.settle()
    queued.assert_one_mail_each(6)


# ---- Redis -----------------------------------------------------------------------------------------------------------


@dataclass
class OwnRedis:
    """A Redis to be hurt."""

    home: Path

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(local_redis.start(self.home).pid)

    def client(self) -> Redis:
        return Redis.from_url(local_redis.start(self.home).url)

    def flush(self) -> Callable[[], None]:
        self.client().flushall()
        return lambda: None

    def kill(self) -> Callable[[], None]:
        self.process.kill()
        return self._start_again

    def hang(self) -> Callable[[], None]:
        process = self.process
        process.suspend()
        return process.resume

    def refuse_writes(self) -> Callable[[], None]:
        self.client().replicaof("127.0.0.1", 1)  # a replica of nobody: read only
        return self._be_a_master

    def fill(self) -> Callable[[], None]:
        self.client().config_set("maxmemory", "1")
        return lambda: self._configure("maxmemory", "0")

    def restore_an_old_snapshot(self) -> Callable[[], None]:
        """Everything that was queued before is there again, as if it had not been done."""
        client = self.client()
        jobs = {key: client.dump(key) for key in client.keys("rq:job:*")}
        client.flushall()
        for key, dumped in jobs.items():
            client.restore(key, 0, dumped)
            client.hset(key, "status", "queued")
            job = key.decode().removeprefix("rq:job:")
            client.rpush("rq:queue:emails" if job.startswith("mail") else "rq:queue:stories", job)
        return lambda: None

    def _start_again(self) -> None:
        local_redis.start(self.home)

    def _be_a_master(self) -> None:
        self.client().replicaof("NO", "ONE")

    def _configure(self, name: str, value: str) -> None:
        self.client().config_set(name, value)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    home = tmp_path / "redis"
    local_redis.start(home)
    yield OwnRedis(home)
    local_redis.stop(home)


@pytest.mark.slow
@pytest.mark.parametrize(
    "strike",
    [
        OwnRedis.flush,
        OwnRedis.kill,
        OwnRedis.hang,
        OwnRedis.refuse_writes,
        OwnRedis.fill,
        OwnRedis.restore_an_old_snapshot,
    ],
    ids=lambda strike: strike.__name__,
)
def test_mail_goes_on_whatever_redis_does_and_workers_come_back_by_themselves(
    tmp_path: Path, database_url: str, redis: OwnRedis, strike: Callable[[OwnRedis], Callable[[], None]]
) -> None:
    url = local_redis.start(redis.home).url
    with deployment(tmp_path / "home", database_url, url) as made, ExitStack() as stack:
        for kind in ("scheduler", "delivery", "worker"):
            stack.enter_context(made.run(kind))
        made.add_readers(5)
        until(lambda: len(made.mails()) == 5, "mail before")

        cure = strike(redis)
        made.add_readers(5)
        until(lambda: len(made.mails()) == 10, "mail meanwhile")
        cure()

        until(lambda: _is_next_written_by_a_worker(made), "the worker, never started again, to work again")
        made.settle()
        made.assert_one_mail_each(made.world.value("select count(*) from users"))


def _is_next_written_by_a_worker(made: Deployment) -> bool:
    """Add a reader and see who writes the story."""
    before = made.world.value("select count(*) from stories")
    made.add_readers(1)
    until(lambda: made.world.value("select count(*) from stories") == before + 1, "the next story")
    (holder,) = made.world.column(
        "select j.holder from story_jobs j join stories s on s.job_id = j.id order by s.id desc limit 1"
    )
    return not holder.startswith("inline/")


# ---- Postgres --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnPostgres:
    """A Postgres to be hurt; it comes back on the same port."""

    home: Path
    exits: ExitStack

    def start(self) -> str:
        return self.exits.enter_context(embedded.embedded_postgres(self.home))

    def kill(self) -> None:
        pid = int((self.home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        sessions = psutil.Process(pid).children(recursive=True)
        os.kill(pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(
            sessions, timeout=20
        )  # they notice, and until then they may still commit
        assert not alive


@pytest.fixture
def postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnPostgres]:
    monkeypatch.setenv("FIXIONMAIL_POSTGRES_OPTIONS", "fsync=off")
    with ExitStack() as exits:
        yield OwnPostgres(tmp_path / "postgres home", exits)


@contextmanager
def killed(postgres: OwnPostgres) -> Iterator[None]:
    """Without Postgres while inside."""
    postgres.kill()
    yield
    postgres.start()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "in the middle of"])
def test_postgres_killed_around_a_post_costs_no_mail_and_makes_none_twice(
    tmp_path: Path, postgres: OwnPostgres, when: str
) -> None:
    url = postgres.start()
    migrations.migrate(url)
    with deployment(tmp_path / "home", url) as made:
        made.world.deliveries(3)
        if when == "before":
            with made.run(
                "delivery", CHECK_INTERVAL_SECONDS="300", fault="stop before begin_batch_v1"
            ) as sender:
                until(
                    lambda: psutil.Process(sender.pid).status() == "stopped", "the sender to ask for the go"
                )
                with killed(postgres):
                    sender.send_signal(signal.SIGCONT)
                    until(lambda: "an inline job failed" in made.log, "the sender to give up")
                    assert made.provider.requests == 0, "nothing may be POSTed without the go"
        else:
            made.provider.faults.add(Fault.SLOW_REPLY, match="POST", seconds=3)
            with made.run("delivery", CHECK_INTERVAL_SECONDS="300"):
                until(made.provider.faults.struck, "the request to arrive")
                with killed(postgres):
                    until(lambda: "an inline job failed" in made.log, "the sender to be left with its answer")
        with reconnected(made, url) as again:
            again.pass_time(seconds=61)
            with again.run("delivery"):
                again.settle()
            again.assert_one_mail_each(3)


@contextmanager
def reconnected(made: Deployment, url: str) -> Iterator[Deployment]:
    """The same deployment, seen through connections that live."""
    from dataclasses import replace

    from fixionmail.store import Store
    from fixionmail.store.direct import DirectTransport
    from tests.contract.store.world import World

    store = Store.over(DirectTransport(url, 2))
    with psycopg.connect(url, autocommit=True) as connection:
        yield replace(made, world=World(store, connection))
    store.close()


@pytest.mark.slow
def test_a_table_locked_for_longer_than_any_call_may_take_only_delays_the_mail(fallback: Deployment) -> None:
    fallback.world.deliveries(3)
    with psycopg.connect(fallback.database_url) as other:
        other.execute("lock table mail_batches in access exclusive mode")
        with fallback.run("delivery"):
            until(lambda: "statement timeout" in fallback.log, "a statement to time out")
            assert fallback.provider.requests == 0
            other.rollback()
            fallback.settle()
    fallback.assert_one_mail_each(3)


@pytest.mark.slow
def test_a_database_that_takes_no_more_connections_only_delays_the_mail(fallback: Deployment) -> None:
    name = fallback.world.value("select current_database()")
    with (
        psycopg.connect(url_of(fallback.database_url, database="postgres"), autocommit=True) as elsewhere,
        fallback.run("delivery"),
    ):
        until(lambda: "leading" in fallback.log, "the loop to lead")
        elsewhere.execute(f"alter database {name} allow_connections false".encode())
        fallback.world.change(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'fixionmail' and pid <> pg_backend_pid()"
        )
        until(lambda: "does not answer" in fallback.log, "a call to fail")
        elsewhere.execute(f"alter database {name} allow_connections true".encode())
        fallback.world.deliveries(3)
        fallback.settle()
    fallback.assert_one_mail_each(3)


def test_a_deadlock_is_tried_again(fallback: Deployment) -> None:
    """Somebody takes a delivery first and then its batch: against our order, so one of the two must give way."""
    fallback.world.deliveries(2)
    with fallback.run("delivery", fault="stop before settle_batch_v1") as sender:
        until(lambda: psutil.Process(sender.pid).status() == "stopped", "the sender to have its answer")
        with psycopg.connect(fallback.database_url) as other:
            other.execute("set deadlock_timeout = '60s'")
            other.execute("select from scheduled_deliveries where state = 'sending' for update")
            sender.send_signal(signal.SIGCONT)
            fallback.world.wait_for_lock_waiters(1)
            reverse = threading.Thread(target=other.execute, args=("select from mail_batches for update",))
            reverse.start()  # our statement notices the deadlock after a second, and gives way
            reverse.join(30)
            assert not reverse.is_alive()
            other.rollback()
        fallback.settle()
    fallback.assert_one_mail_each(2)
