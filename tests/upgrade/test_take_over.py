"""A database of the earlier FixionMail is taken over in place: nothing is lost, nothing is sent again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.rows import dict_row

from fixionmail.errors import DatabaseError
from fixionmail.models.verdict import Verdict
from fixionmail.store import Store, migrations
from fixionmail.store.direct import DirectTransport
from tests.commands import run
from tests.contract.store.world import World
from tests.contract.test_migrations import ordinary_owner
from tests.contract.test_migrations import run as run_sql
from tests.upgrade.history import Earlier

DAY = 24.0
KEYS: LiteralString = """
select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
 where connamespace = 'public'::regnamespace and conrelid <> 0 and contype <> 'n'
   and conrelid::regclass::text not in ('conversations', 'credit_transactions')
union all
select indexdef from pg_indexes
 where schemaname = 'public' and tablename not in ('conversations', 'credit_transactions')
order by 1"""


@pytest.fixture
def connection(empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def earlier(connection: psycopg.Connection[Any]) -> Earlier:
    """Its tables, without a row."""
    earlier = Earlier(connection)
    earlier.build()
    return earlier


@pytest.fixture
def world(empty_database: str, connection: psycopg.Connection[Any]) -> Iterator[World]:
    """The same database once it is migrated."""
    stores: list[Store] = []
    yield World(_LazyStore(empty_database, stores), connection)  # type: ignore[arg-type]
    for store in stores:
        store.close()


class _LazyStore:
    """A store that connects when it is first asked for: before the migration there is nothing to connect to."""

    def __init__(self, url: str, stores: list[Store]) -> None:
        self._url, self._stores = url, stores

    def __getattr__(self, name: str) -> Any:
        if not self._stores:
            self._stores.append(Store.over(DirectTransport(self._url, 2)))
        return getattr(self._stores[0], name)


def delivery(world: World, key: str) -> dict[str, Any]:
    return world.row("scheduled_deliveries", key)


def schedule(world: World, user: str) -> dict[str, Any]:
    with world.connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("select * from subscriber_schedule where user_id = %s", [user]).fetchone()
    assert found is not None
    return found


class TestADelivery:
    @pytest.mark.parametrize(
        ("status", "state"),
        [("sent", "sent"), ("sending", "uncertain"), ("failed", "rejected"), ("pending", "pending")],
    )
    def test_becomes_what_is_known_of_it(
        self, empty_database: str, earlier: Earlier, world: World, status: str, state: str
    ) -> None:
        user = earlier.reader(1)
        key = earlier.delivery(
            1, earlier.story(1, user, hours_ago=2), user, status, hours_ago=1, provider_id="re_1"
        )
        migrations.migrate(empty_database)
        row = delivery(world, key)
        assert (row["state"], row["kind"]) == (state, "daily")
        assert row["provider_id"] == ("re_1" if status == "sent" else None)

    def test_that_was_being_sent_is_not_sent_again(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1)
        earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "sending", hours_ago=1)
        migrations.migrate(empty_database)
        assert world.open().verdict is Verdict.EMPTY

    def test_that_waits_goes_out_once(self, empty_database: str, earlier: Earlier, world: World) -> None:
        user = earlier.reader(1)
        key = earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "pending", hours_ago=1)
        migrations.migrate(empty_database)
        (letter,) = world.open().letters
        assert (str(letter.delivery_id), letter.address, letter.body) == (
            key,
            "reader1@example.com",
            "It burned.",
        )

    def test_that_was_sent_without_an_id_is_no_incident(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1)
        earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "sent", hours_ago=1)
        migrations.migrate(empty_database)
        assert world.store.deliveries.duplicates(since=date(2020, 1, 1)) == ()

    @pytest.mark.parametrize("status", ["sent", "sending", "pending", "failed"])
    def test_that_is_the_second_of_a_story_is_history(
        self, empty_database: str, earlier: Earlier, world: World, status: str
    ) -> None:
        user = earlier.reader(1)
        story = earlier.story(1, user, hours_ago=3)
        first = earlier.delivery(1, story, user, "sent", hours_ago=2)
        second = earlier.delivery(2, story, user, status, hours_ago=1)
        migrations.migrate(empty_database)
        rows = [delivery(world, key) for key in (first, second)]
        assert [row["kind"] for row in rows] == ["daily", "extra"]
        assert rows[1]["state"] in ("sent", "uncertain", "cancelled", "rejected")
        assert world.column("select distinct body from stories") == ["It burned."]
        assert world.store.deliveries.duplicates(since=date(2020, 1, 1)) == ()
        assert world.open().verdict is Verdict.EMPTY

    def test_of_another_story_on_a_date_that_has_its_mail_is_not_sent(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1, timezone="UTC")
        now = datetime.now(UTC)
        age = (now - now.replace(hour=0, minute=0, second=0)).total_seconds() / 3600  # of the day
        earlier.delivery(1, earlier.story(1, user, hours_ago=age), user, "sent", hours_ago=age / 2)
        key = earlier.delivery(2, earlier.story(2, user, hours_ago=age), user, "pending", hours_ago=age / 3)
        migrations.migrate(empty_database)
        assert delivery(world, key)["state"] == "cancelled"
        assert world.open().verdict is Verdict.EMPTY

    def test_that_was_never_recorded_counts_as_sent_when_its_story_was_mailed(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1)
        earlier.story(1, user, hours_ago=2)
        world.change("update stories set email_sent = true, delivered_at = now() - interval '1 hour'")
        migrations.migrate(empty_database)
        assert world.column("select state from scheduled_deliveries") == ["sent"]


class TestAReader:
    def test_keeps_address_wishes_and_credits(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1, timezone="Asia/Tokyo", time="06:15")
        migrations.migrate(empty_database)
        row = world.row("users", user)
        assert (row["email"], row["timezone"], row["delivery_time"], row["credits"], row["status"]) == (
            "reader1@example.com",
            "Asia/Tokyo",
            "06:15",
            7,
            "active",
        )
        assert row["story_bible"] == {"genre": "mystery", "setting": "Oslo"}
        assert len(row["unsubscribe_token"]) == 64

    @pytest.mark.parametrize(
        "columns", [{"subscription_status": "cancelled"}, {"onboarding_completed": False}], ids=str
    )
    def test_who_got_no_stories_gets_none(
        self, empty_database: str, earlier: Earlier, world: World, columns: dict[str, Any]
    ) -> None:
        user = earlier.reader(1, **columns)
        migrations.migrate(empty_database)
        assert world.row("users", user)["status"] == "paused"
        assert schedule(world, user)["active"] is False

    def test_twice_under_one_address_is_one_reader_and_a_record(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        earlier.reader(1, email="Ada@example.com", subscription_status="expired")
        earlier.reader(2, email="ada@example.com")
        migrations.migrate(empty_database)
        rows = world.connection.execute("select email, status from users order by status").fetchall()
        assert rows[0] == ("ada@example.com", "active")
        assert rows[1][1] == "removed"

    def test_with_a_zone_that_does_not_exist_is_kept(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1, timezone="Mars/Olympus", time="late")
        earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "sent", hours_ago=1)
        migrations.migrate(empty_database)
        assert world.row("users", user)["timezone"] == "Mars/Olympus"
        assert schedule(world, user)["next_due_at"] > datetime.now(UTC)

    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/New_York"])
    def test_who_had_todays_story_is_due_tomorrow(
        self, empty_database: str, earlier: Earlier, world: World, zone: str
    ) -> None:
        user = earlier.reader(1, timezone=zone, time="23:59")
        earlier.delivery(1, earlier.story(1, user, hours_ago=0.01), user, "sent", hours_ago=0)
        migrations.migrate(empty_database)
        today = datetime.now(ZoneInfo(zone)).date()
        assert schedule(world, user)["last_local_date"] == today
        assert schedule(world, user)["next_local_date"] == today + timedelta(days=1)

    def test_who_had_none_yet_today_is_due_today(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"  # where it is about noon
        user = earlier.reader(1, timezone=zone, time="23:59")
        earlier.delivery(1, earlier.story(1, user, hours_ago=48), user, "sent", hours_ago=47)
        migrations.migrate(empty_database)
        assert schedule(world, user)["next_local_date"] == datetime.now(ZoneInfo(zone)).date()

    @pytest.mark.parametrize("status", ["pending", "running"])
    def test_whose_story_was_begun_gets_it(
        self, empty_database: str, earlier: Earlier, world: World, status: str
    ) -> None:
        user = earlier.reader(1, timezone="UTC", time="00:00")
        job = earlier.job(1, user, status, hours_ago=0)
        migrations.migrate(empty_database)
        assert world.state("story_jobs", job) == "cancelled"
        assert schedule(world, user)["next_local_date"] == datetime.now(UTC).date()
        assert [due.user_id for due in world.due_subscribers()] == [world.row("users", user)["id"]]

    def test_whose_job_is_left_over_from_long_ago_is_not_due_for_it(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1, timezone="UTC")
        earlier.job(1, user, "running", hours_ago=100)
        migrations.migrate(empty_database)
        assert schedule(world, user)["next_due_at"] > datetime.now(UTC)


class TestTheRest:
    def test_a_failed_job_stays_failed_with_its_reason(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        job = earlier.job(1, earlier.reader(1), "failed", hours_ago=5)
        migrations.migrate(empty_database)
        assert (world.state("story_jobs", job), world.row("story_jobs", job)["error"]) == (
            "failed",
            "no luck",
        )

    def test_a_job_without_a_reader_is_found_by_its_address_or_left_where_it_was(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1)
        found = earlier.job(1, None, "failed", hours_ago=5)
        earlier.job(2, None, "failed", hours_ago=5)
        world.change("update story_jobs set user_email = 'nobody@example.com' where job_id = 'job-2'")
        migrations.migrate(empty_database)
        assert str(world.row("story_jobs", found)["user_id"]) == user
        report = migrations.taken_over(empty_database)
        assert report is not None
        assert report["left_behind"] == {"jobs without subscriber": 1}

    def test_past_titles_come_newest_first(self, empty_database: str, earlier: Earlier, world: World) -> None:
        user = earlier.reader(1)
        for number in range(1, 6):
            earlier.story(number, user, hours_ago=number * DAY)
        migrations.migrate(empty_database)
        titles = world.column("select title from stories order by id desc")
        assert titles == [f"Story {number}" for number in range(1, 6)]

    def test_everything_of_before_is_still_there_and_closed_to_browsers(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1)
        earlier.story(1, user, hours_ago=1)
        world.change("insert into conversations (user_id) values (%s)", user)
        migrations.migrate(empty_database)
        assert world.column("select email from earlier.users") == ["reader1@example.com"]
        assert world.column("select title from earlier.stories") == ["Story 1"]
        assert world.value("select count(*) from conversations") == 1
        for role in ("anon", "authenticated"):
            assert not world.value("select has_schema_privilege(%s, 'earlier', 'usage')", role)
            assert not world.value("select has_table_privilege(%s, 'public.users', 'select')", role)

    def test_signing_up_with_supabase_goes_on_working(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        migrations.migrate(empty_database)
        world.change("insert into auth.users (id, email) values (gen_random_uuid(), 'new@example.com')")
        assert world.column("select email from users") == []

    def test_nobody_can_give_themselves_credits_any_more(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        earlier.reader(1)
        migrations.migrate(empty_database)
        with world.connection.transaction(force_rollback=True):
            world.change("set local role anon")
            with pytest.raises(psycopg.Error):
                world.change("select add_credits((select id from users limit 1), 1000)")


class TestTakingOver:
    def test_is_whole_or_not_at_all(self, empty_database: str, earlier: Earlier, world: World) -> None:
        earlier.reader(1)
        world.change("create table mail_batches (id integer)")  # in the way of a later migration
        with pytest.raises(DatabaseError, match="was undone"):
            migrations.migrate(empty_database)
        assert world.column("select email from users where preferences is not null") == [
            "reader1@example.com"
        ]
        assert world.value("select to_regnamespace('earlier') is null")

    def test_leaves_every_key_and_index_as_in_a_new_database(
        self, empty_database: str, earlier: Earlier, world: World, database_url: str
    ) -> None:
        user = earlier.reader(1)
        earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "sent", hours_ago=1)
        migrations.migrate(empty_database)
        assert run_sql(empty_database, KEYS) == run_sql(database_url, KEYS) != []

    def test_of_rows_that_break_a_rule_is_undone_whole(
        self, empty_database: str, earlier: Earlier, world: World
    ) -> None:
        user = earlier.reader(1)
        earlier.story(1, user, hours_ago=2)
        world.change("alter table stories drop constraint stories_pkey cascade")
        earlier.story(1, user, hours_ago=1, job=None)  # a second one with the same id
        with pytest.raises(DatabaseError, match="018_take_over failed and was undone"):
            migrations.migrate(empty_database)
        assert world.value("select to_regnamespace('earlier') is null")

    def test_needs_no_more_than_the_owner_of_the_database_may(self, empty_database: str) -> None:
        url = ordinary_owner(empty_database, "earlier_owner")
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                earlier = Earlier(connection)
                earlier.build()
                user = earlier.reader(1)
                earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "sending", hours_ago=1)
            migrations.migrate(url)
            report = migrations.taken_over(url)
            assert report is not None
            assert report["after"]["deliveries"] == {"uncertain": 1}
        finally:
            run_sql(empty_database, "reassign owned by earlier_owner to postgres")
            run_sql(empty_database, "drop owned by earlier_owner; drop role earlier_owner")

    def test_twice_is_once(self, empty_database: str, earlier: Earlier, world: World) -> None:
        earlier.reader(1)
        migrations.migrate(empty_database)
        assert migrations.migrate(empty_database) == ()
        assert world.value("select count(*) from users") == 1

    def test_a_plan_says_what_would_be_done_and_does_none_of_it(
        self, empty_database: str, earlier: Earlier, world: World, tmp_path: Path
    ) -> None:
        user = earlier.reader(1)
        earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "sending", hours_ago=1)
        ended = run(tmp_path, "db", "migrate", "--plan", "--json", DATABASE_URL=empty_database)
        assert ended.code == 0, ended.err
        told = ended.json()
        assert told["missing"][0] == "001_users"
        assert told["taken_over"]["before"]["deliveries"] == {"sending": 1}
        assert told["taken_over"]["after"]["deliveries"] == {"uncertain": 1}
        assert world.column("select status from scheduled_deliveries") == ["sending"]
        assert world.value("select to_regclass('fixionmail_migrations') is null")

    def test_the_command_says_in_words_what_it_did(
        self, empty_database: str, earlier: Earlier, tmp_path: Path
    ) -> None:
        user = earlier.reader(1)
        earlier.delivery(1, earlier.story(1, user, hours_ago=2), user, "sending", hours_ago=1)
        ended = run(tmp_path, "db", "migrate", DATABASE_URL=empty_database)
        assert ended.code == 0, ended.err
        assert "Taken over from the earlier FixionMail" in ended.out
        assert "1 uncertain" in ended.out

    def test_a_database_without_an_earlier_one_has_nothing_to_take_over(self, database_url: str) -> None:
        assert migrations.taken_over(database_url) is None


@pytest.mark.parametrize(
    ("readers", "days"),
    [(50, 30), pytest.param(10_000, 365, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
)
def test_a_history_is_taken_over_without_a_loss(
    empty_database: str, earlier: Earlier, world: World, readers: int, days: int
) -> None:
    earlier.history(readers, days)
    begun = time.monotonic()
    migrations.migrate(empty_database)
    seconds = time.monotonic() - begun
    counts = {
        table: world.value(f"select count(*) from {table}")
        for table in ("users", "subscriber_schedule", "stories", "story_jobs", "scheduled_deliveries")
    }
    mails = readers * days
    assert counts == {
        "users": readers,
        "subscriber_schedule": readers,
        "stories": mails,
        "story_jobs": mails,
        "scheduled_deliveries": mails,
    }
    assert world.value("select count(*) from scheduled_deliveries where state <> 'sent'") == 0
    assert world.value("select count(*) from subscriber_schedule where next_due_at <= now()") == 0
    missing = (
        "select count(*) from earlier.scheduled_deliveries e left join scheduled_deliveries d "
        "on d.id = e.id and d.user_id = e.user_id and d.provider_id = e.resend_email_id where d.id is null"
    )
    assert world.value(missing) == 0
    assert seconds < max(20, mails / 1000), f"{mails} mails in {seconds:.0f} s"
