"""Drills 15, 16 and 20: the database and what keeps second mails out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from fixionmail.loops.service import hosting
from fixionmail.ops.checks import find
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Finding, Harm
from fixionmail.settings import Settings
from tests.commands import until
from tests.contract.store.world import now
from tests.drills.conftest import Deployment, settings_of
from tests.postgres import PostgresServer, url_of
from tests.standins.faults import Fault
from tests.standins.postgrest import PostgrestStandIn


def seen(database_url: str, home: Path) -> dict[str, Finding]:
    observer = Observer(redis_url=None, settings=settings_of(None, database_url, home))
    try:
        return {finding.kind: finding for finding in find(observer.look())}
    finally:
        observer.close()


CONSTRAINT: LiteralString = "alter table scheduled_deliveries drop constraint unique_story_delivery"


class TestDrill15:
    """That one story has two deliveries, only somebody's own SQL can bring about: with a story comes its delivery, and
    two databases never write the same one. Second mails that came from elsewhere: ``test_drill_15_twice.py``."""

    def test_a_missing_constraint_is_named(self, deployment: Deployment) -> None:
        deployment.world.change(CONSTRAINT)
        finding = deployment.findings()["constraint-missing"]
        assert (finding.drill, finding.harm) == (15, Harm.RISK)
        assert finding.evidence == ("unique_story_delivery: missing",)

    def test_what_slipped_through_is_named_with_its_rows(self, deployment: Deployment) -> None:
        first, second = self.mailed_twice(deployment)
        finding = deployment.findings()["duplicate-story"]
        assert (finding.drill, finding.harm) == (15, Harm.TWICE)
        assert str(first) in finding.evidence[0]
        assert str(second) in finding.evidence[0]

    def test_the_first_is_kept_the_other_set_aside_on_record_and_the_constraint_put_back(
        self, deployment: Deployment
    ) -> None:
        first, second = self.mailed_twice(deployment)
        finding = deployment.findings()["duplicate-story"]
        assert deployment.cure(finding, "repair-duplicates") == {"ok": 2}
        world = deployment.world
        assert world.column("select id from scheduled_deliveries") == [min((first, second), key=str)]
        (record,) = world.audit("delivery set aside")
        assert record["result"]["delivery"]["id"] == record["target"] == str(max((first, second), key=str))
        assert len(record["result"]["items"]) == 1
        assert not {"duplicate-story", "constraint-missing"} & deployment.findings().keys()

    @pytest.mark.parametrize(
        ("name", "away"),
        [
            ("one_daily_job", "drop index one_daily_job"),
            ("stories_job_id_key", "alter table stories drop constraint stories_job_id_key"),
            ("unique_story_delivery", CONSTRAINT),
            ("one_daily_delivery", "drop index one_daily_delivery"),
            ("one_live_batch", "drop index one_live_batch"),
            ("mail_batches_key", "drop index mail_batches_key"),
            ("users_email_key", "drop index users_email_key"),
        ],
    )
    def test_every_constraint_can_be_put_in_force_again(
        self, deployment: Deployment, name: str, away: LiteralString
    ) -> None:
        deployment.world.sent(2)
        deployment.world.change(away)
        finding = deployment.findings()["constraint-missing"]
        assert finding.subjects == (name,)
        assert deployment.cure(finding, "repair-duplicates") == {"ok": 1}
        assert "constraint-missing" not in deployment.findings()

    def test_a_mail_that_is_on_its_way_is_not_set_aside(self, deployment: Deployment) -> None:
        world = deployment.world
        _, _, members = world.sending(2)
        world.change("drop index one_daily_delivery")
        world.change(
            "update scheduled_deliveries set user_id = (select min(user_id::text)::uuid from story_jobs)"
        )
        second, broken = world.store.repairs.second_rows(), world.store.repairs.broken_constraints()
        assert ({row.row_id for row in second} < set(members), broken) == (True, ("one_daily_delivery",))
        who = {"by": "a", "host": "b", "reason": "c"}
        assert world.store.repairs.set_aside(second[0], **who) == "refused: it is being sent"
        assert world.store.repairs.restore_constraint("one_daily_delivery", **who) == (
            "refused: rows stand against it: repair them first"
        )

    def mailed_twice(self, deployment: Deployment) -> tuple[object, object]:
        world = deployment.world
        world.change(CONSTRAINT)
        _, (first, second) = world.sent(2)
        story = world.row("scheduled_deliveries", first)["story_id"]
        world.change(
            "update scheduled_deliveries set story_id = %s, local_date = current_date where id = %s",
            story,
            second,
        )
        world.change("update scheduled_deliveries set local_date = current_date")
        return first, second


def test_drill_16_missing_migrations_are_named_and_applied(
    deployment: Deployment, empty_database: str, tmp_path: Path
) -> None:
    behind = replace(deployment, settings=settings_of(deployment.redis_url, empty_database, tmp_path))
    finding = behind.findings()["migration-missing"]
    assert (finding.drill, finding.cures[0].action) == (16, "migrate")
    assert behind.cure(finding, "migrate") == {"done": 1}
    assert "migration-missing" not in behind.findings()
    assert behind.cure(finding, "migrate") == {"already": 1}


class TestDrill20:
    def test_a_database_that_is_away_is_named(self, tmp_path: Path) -> None:
        finding = seen("postgresql://a:b@127.0.0.1:1/x", tmp_path)["database-unreachable"]
        assert (finding.drill, finding.harm) == (20, Harm.LATE)
        assert finding.cures[0].automatic

    def test_a_wrong_password_is_named_and_never_shown(self, database_url: str, tmp_path: Path) -> None:
        found = seen(url_of(database_url, user="nobody_at_all", password="s3cret"), tmp_path)
        assert found["database-refused"].drill == 20
        assert "s3cret" not in repr(found)

    @pytest.mark.slow
    def test_a_database_that_was_closed_is_named_and_gone_on_with_when_it_opens(
        self, deployment: Deployment, postgres_server: PostgresServer
    ) -> None:
        url = postgres_server.url
        with hosting(deployment.settings.model_copy(update={"check_interval_seconds": 1.0})):
            until(lambda: "no-scheduler" not in deployment.findings(), "a scheduler")
            with closed_database(url, deployment.world.connection.info.dbname):
                (finding,) = [f for f in deployment.findings().values() if f.drill == 20]
                assert finding.harm is Harm.LATE
                assert "not currently accepting connections" in finding.cause
            opened = now()
            until(lambda: ticked_since(deployment, opened), "a tick")
            assert not {"no-scheduler", finding.kind} & deployment.findings().keys()

    def test_a_key_of_supabase_that_was_replaced_is_named_and_the_new_one_is_the_cure(
        self, database_url: str, tmp_path: Path
    ) -> None:
        with PostgrestStandIn(database_url) as api:
            old = api.service_key
            assert "database-refused" not in through(api.url, old, tmp_path)
            api.rotate_keys()
            found = through(api.url, old, tmp_path)
            assert found["database-refused"].drill == 20
            assert "SUPABASE_SERVICE_KEY" in found["database-refused"].cures[0].command
            assert old not in repr(found)
            assert "database-refused" not in through(api.url, api.service_key, tmp_path)

    def test_a_database_that_answers_slowly_is_named_until_it_is_quick_again(
        self, database_url: str, tmp_path: Path
    ) -> None:
        with PostgrestStandIn(database_url) as api:
            api.faults.add(Fault.SLOW_REPLY, times=None, seconds=1.2)
            finding = through(api.url, api.service_key, tmp_path)["database-slow"]
            assert (finding.drill, finding.harm) == (20, Harm.RISK)
            api.faults.clear()
            until(
                lambda: "database-slow" not in through(api.url, api.service_key, tmp_path), "a quick answer"
            )


def ticked_since(deployment: Deployment, moment: datetime) -> bool:
    """Whether both loops have ended a tick since."""
    loops = deployment.look().loops.value or ()
    return len(loops) == 2 and all(loop.last_tick_at and loop.last_tick_at > moment for loop in loops)


def through(url: str, key: str, home: Path) -> dict[str, Finding]:
    """What is seen through an API with that key."""
    settings = Settings.model_validate(
        {"redis_url": None, "supabase_url": url, "supabase_service_key": key, "fixionmail_home": home}
    )
    with closing(Observer(redis_url=None, settings=settings)) as observer:
        return {finding.kind: finding for finding in find(observer.look())}


@contextmanager
def closed_database(server_url: str, name: str) -> Iterator[None]:
    """A database that has ended all sessions and takes no new ones."""
    with psycopg.connect(server_url, autocommit=True) as admin:
        allow = sql.SQL("alter database {} allow_connections {}")
        admin.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
            [name],
        )
        try:
            yield
        finally:
            admin.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
