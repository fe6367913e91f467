"""The restore drill: yesterday's database is put back, and nobody gets a mail twice. See docs/operating.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from fixionmail.mail.render import Sender
from fixionmail.mail.resend import Resend
from fixionmail.mail.send import Post
from fixionmail.models.verdict import Verdict
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from tests.commands import Ended, run
from tests.contract.store.world import World
from tests.postgres import PostgresServer
from tests.standins.resend import ResendStandIn

SENDER = Sender(address="FixionMail <stories@example.com>", base_url="https://example.com")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Drill:
    """A provider that remembers, and databases that come and go."""

    server: PostgresServer
    resend: ResendStandIn
    home: Path

    @contextmanager
    def world(self, url: str) -> Iterator[World]:
        """A deployment's database, with nobody connected afterwards."""
        store = Store.over(DirectTransport(url, 2))
        with psycopg.connect(url, autocommit=True) as connection:
            yield World(store, connection)
        store.close()

    @contextmanager
    def backup(self, url: str) -> Iterator[str]:
        """A copy of a database that nobody is connected to."""
        with self.server.database(url.rpartition("/")[2].partition("?")[0]) as copy:
            yield copy

    def send(self, world: World) -> None:
        """Send all that is due."""
        with Resend(api_key=self.resend.api_key, url=self.resend.url) as client:
            line = world.store.mail_line("resend", 1000.0)
            Post(line=line, mailer=client, sender=SENDER, holder="hand").send_due(seconds=20)

    def command(self, url: str, *arguments: str) -> Ended:
        """An operator's command on that database."""
        return run(
            self.home,
            *arguments,
            DATABASE_URL=url,
            RESEND_API_KEY=self.resend.api_key,
            RESEND_API_URL=self.resend.url,
            EMAIL_FROM=SENDER.address,
        )

    def mails(self) -> Counter[str]:
        """What really went out, by recipient."""
        return Counter(mail.to[0] for mail in self.resend.ledger.mails())


@pytest.fixture
def drill(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Drill]:
    with ResendStandIn() as resend:
        yield Drill(postgres_server, resend, tmp_path)


@pytest.mark.parametrize(
    "in_batches", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["singles", "batches"]
)
def test_after_a_restore_hold_reconcile_and_release_nobody_has_two_mails(
    drill: Drill, in_batches: bool
) -> None:
    with drill.server.migrated_database() as lost:
        with drill.world(lost) as world:
            written = world.deliveries(4)
            planned = world.jobs(3)
        with drill.backup(lost) as restored:
            with drill.world(lost) as world:  # the day goes on after the backup, until the database is lost
                if in_batches:
                    world.slow_backlog()
                for job in planned:
                    world.complete(job, world.claimed(job))
                drill.send(world)
                world.full_speed()
                drill.send(world)
            drill.resend.clock.advance(DAY.total_seconds() + 60)  # the provider has forgotten every key
            before = drill.mails()
            assert len(before) == 7

            assert drill.command(restored, "db", "hold", "--reason", "restored").code == 0
            with drill.world(restored) as world:
                drill.send(world)
                assert drill.mails() == before
            reconciled = drill.command(restored, "db", "reconcile", "--hours", "72", "--json")
            assert reconciled.code == 0, reconciled.err
            numbers = {"read": 7, "taken_in": 7, "known": 0, "strangers": 0, "unmarked": 0}
            assert reconciled.json().items() >= numbers.items()
            assert drill.command(restored, "db", "release", "--reason", "reconciled").code == 0

            with drill.world(restored) as world:
                world.full_speed()
                for job in planned:
                    assert world.claim(job).verdict is Verdict.CANCELLED
                drill.send(world)
                states = {world.state("scheduled_deliveries", delivery) for delivery in written}
                assert states <= {"sent", "delivered"}
            assert drill.mails() == before


def test_what_was_not_sent_before_goes_out_once_it_is_released(drill: Drill) -> None:
    with drill.server.migrated_database() as restored:
        with drill.world(restored) as world:
            world.deliveries(2)
        drill.command(restored, "db", "hold", "--reason", "restored")
        assert drill.command(restored, "db", "reconcile", "--json").json()["read"] == 0
        drill.command(restored, "db", "release", "--reason", "reconciled")
        with drill.world(restored) as world:
            drill.send(world)
    assert len(drill.mails()) == 2


def test_reconciling_twice_takes_in_nothing_more(drill: Drill) -> None:
    with drill.server.migrated_database() as lost:
        with drill.world(lost) as world:
            world.deliveries(2)
            world.jobs(1)
        with drill.backup(lost) as restored:
            with drill.world(lost) as world:
                for job in world.column("select id from story_jobs where state = 'pending'"):
                    world.complete(job, world.claimed(job))
                drill.send(world)
            drill.command(restored, "db", "hold", "--reason", "restored")
            first, second = (drill.command(restored, "db", "reconcile", "--json").json() for _ in range(2))
    assert (first["taken_in"], second["taken_in"], second["known"]) == (3, 0, 3)


def test_other_mail_of_the_account_and_strangers_are_told_apart(drill: Drill) -> None:
    with drill.server.migrated_database() as lost:
        with drill.world(lost) as world:
            world.deliveries(1)
            drill.send(world)
        with Resend(api_key=drill.resend.api_key, url=drill.resend.url) as client:
            body = b'{"from":"a@example.com","to":["x@example.com"],"subject":"Hello","text":"Hello"}'
            client.send(key="other", body=body, count=1)
        with drill.server.migrated_database() as empty:
            drill.command(empty, "db", "hold", "--reason", "restored")
            done = drill.command(empty, "db", "reconcile", "--json").json()
    assert done.items() >= {"read": 2, "taken_in": 0, "known": 0, "strangers": 1, "unmarked": 1}.items()


def test_without_a_hold_nothing_is_reconciled(drill: Drill, database_url: str) -> None:
    ended = drill.command(database_url, "db", "reconcile")
    assert ended.code == 2
    assert "run fixionmail db hold first" in ended.err


def test_without_the_providers_key_it_says_what_to_set(database_url: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "db", "reconcile", DATABASE_URL=database_url)
    assert ended.code == 2
    assert "RESEND_API_KEY is not set" in ended.err
