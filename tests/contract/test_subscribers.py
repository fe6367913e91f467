"""Signing up, changing, pausing and leaving, over both roads to the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from uuid_utils.compat import uuid7

from fixionmail.errors import InputError
from fixionmail.models.jobs import PlannedJob
from fixionmail.models.subscribers import Subscriber
from fixionmail.schedule import MIN_GAP, first_due
from fixionmail.store import Store
from fixionmail.subscribers import service
from fixionmail.subscribers.csv_file import BadLine, GoodLine
from fixionmail.subscribers.csv_import import Imported, import_pages
from fixionmail.subscribers.service import Operator, SubscriberStateError, UnknownSubscriberError
from fixionmail.subscribers.sign_up import SignUp, sign_up

NOON = datetime(2031, 5, 14, 12, tzinfo=UTC)
TODAY = NOON.date()
TOMORROW = TODAY + timedelta(days=1)
OPERATOR = Operator(name="olga", host="desk")
SOMEBODY = "ada@example.com"


def wanting(email: str = SOMEBODY, timezone: str = "UTC", at: str = "18:00", **preferences: str) -> SignUp:
    return sign_up(email=email, timezone=timezone, delivery_time=at, preferences=preferences)


def added(store: Store, *sign_ups: SignUp) -> Subscriber:
    """Sign them up; the first of them as it is stored."""
    assert set(service.add(store, sign_ups, NOON)) == {"added"}
    return service.find(store, sign_ups[0].email)


def plan_next_story(store: Store, subscriber: Subscriber, local_date: date = TODAY) -> datetime:
    """Let the scheduler plan the story that is due next; its instant."""
    due_at = subscriber.next_due_at
    assert due_at is not None
    lease = store.leases.acquire(name="scheduler", holder="test", ttl_seconds=30, info={})
    job = PlannedJob(
        job_id=uuid7(),
        user_id=subscriber.user_id,
        local_date=local_date,
        due_at=due_at,
        send_until=due_at + timedelta(hours=6),
        seen_due_at=due_at,
        next_local_date=local_date + timedelta(days=1),
        next_due_at=due_at + timedelta(days=1),
    )
    assert store.jobs.plan(fence=lease.fence, sweep_seconds=60, plan=[job]).job_ids == (job.job_id,)
    return due_at


def audit_of(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("select actor, host, action, reason from audit_log order by id").fetchall()


def tokens_of(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("select unsubscribe_token from users").fetchall()]


class TestSigningUp:
    def test_the_first_story_is_the_next_one_due_on_the_subscribers_clock(self, store: Store) -> None:
        subscriber = added(store, wanting(timezone="Asia/Tokyo", at="07:30", genre="mystery"))
        assert subscriber.status == "active"
        assert (subscriber.timezone, subscriber.delivery_time) == ("Asia/Tokyo", "07:30")
        assert subscriber.story_bible == {"genre": "mystery"}
        assert subscriber.next_due_at == datetime(2031, 5, 14, 22, 30, tzinfo=UTC)

    def test_a_known_address_is_left_as_it_is_in_whatever_case_it_comes(self, store: Store) -> None:
        first = added(store, wanting())
        assert service.add(store, [wanting(SOMEBODY.upper(), at="09:00")], NOON) == ["known"]
        assert service.find(store, SOMEBODY) == first

    def test_everybody_gets_an_unsubscribe_token_of_their_own(self, store: Store, database_url: str) -> None:
        service.add(store, [wanting(f"reader{n}@example.com") for n in range(5)], NOON)
        tokens = tokens_of(database_url)
        assert len(set(tokens)) == 5
        assert min(map(len, tokens)) >= 32

    def test_a_removed_one_who_comes_back_the_same_day_gets_no_second_story(self, store: Store) -> None:
        subscriber = added(store, wanting(at="18:00"))
        plan_next_story(store, subscriber)
        service.remove(store, SOMEBODY, reason=None, operator=OPERATOR)
        assert service.add(store, [wanting(at="20:00")], NOON) == ["restored"]
        assert service.find(store, SOMEBODY).next_due_at == datetime(2031, 5, 15, 20, tzinfo=UTC)

    def test_a_removed_one_who_comes_back_keeps_the_distance_to_the_last_story(self, store: Store) -> None:
        last = plan_next_story(store, added(store, wanting(at="18:00")))
        service.remove(store, SOMEBODY, reason=None, operator=OPERATOR)
        assert service.add(store, [wanting(at="01:00")], NOON) == ["restored"]
        assert service.find(store, SOMEBODY).next_due_at == last + MIN_GAP


class TestFinding:
    def test_by_address_in_any_form_or_by_id(self, store: Store) -> None:
        subscriber = added(store, wanting("max@bücher.example"))
        assert subscriber.email == "max@xn--bcher-kva.example"
        for who in ("MAX@BÜCHER.example", " max@xn--bcher-kva.example ", str(subscriber.user_id)):
            assert service.find(store, who) == subscriber

    @pytest.mark.parametrize(
        "who", ["nobody@example.com", "01a20c83-abd8-74ed-a637-30cc5a410a99", "", "' or true --", "[/]"]
    )
    def test_nobody_is_found_in_words(self, store: Store, who: str) -> None:
        added(store, wanting())
        with pytest.raises(UnknownSubscriberError, match="There is no subscriber"):
            service.find(store, who)

    def test_lists_go_through_all_pages_in_the_order_of_addresses(self, store: Store) -> None:
        emails = [f"reader{n:04d}@example.com" for n in range(service.PAGE + 1)]
        service.add(store, [wanting(email) for email in reversed(emails)], NOON)
        assert [found.email for found in service.listed(store, status=None, search=None)] == emails

    def test_lists_are_narrowed_by_status_and_by_part_of_the_address(self, store: Store) -> None:
        added(store, wanting("ada@example.com"), wanting("bob@example.com"), wanting("eve@example.org"))
        service.pause(store, "bob@example.com", reason=None, operator=OPERATOR)
        service.remove(store, "eve@example.org", reason=None, operator=OPERATOR)

        def emails(status: str | None = None, search: str | None = None) -> list[str]:
            return [found.email for found in service.listed(store, status=status, search=search)]

        assert emails() == ["ada@example.com", "bob@example.com"]
        assert emails(status="paused") == ["bob@example.com"]
        assert emails(status="removed") == ["eve@example.org"]
        assert emails(search="ADA@") == ["ada@example.com"]
        assert emails(search="%") == []


class TestPausing:
    def test_stops_the_mail_and_is_on_record(self, store: Store, database_url: str) -> None:
        added(store, wanting())
        changed = service.pause(store, SOMEBODY, reason="holiday", operator=OPERATOR)
        assert (changed.subscriber.status, changed.subscriber.status_reason) == ("paused", "holiday")
        assert changed.subscriber.next_due_at is None
        assert audit_of(database_url) == [("olga", "desk", "subscriber paused", "holiday")]

    def test_a_second_time_changes_nothing(self, store: Store, database_url: str) -> None:
        added(store, wanting())
        service.pause(store, SOMEBODY, reason=None, operator=OPERATOR)
        assert service.pause(store, SOMEBODY, reason=None, operator=OPERATOR).already
        assert len(audit_of(database_url)) == 1

    @pytest.mark.parametrize("status", ["unsubscribed", "suppressed", "removed"])
    def test_does_not_cover_up_why_there_is_no_mail(self, store: Store, status: str) -> None:
        leave(store, added(store, wanting()), status)
        with pytest.raises(SubscriberStateError, match=status):
            service.pause(store, SOMEBODY, reason=None, operator=OPERATOR)
        assert service.find(store, SOMEBODY).status == status


class TestResuming:
    def resume(self, store: Store, *, now: datetime = NOON, at_their_wish: bool = False) -> Subscriber:
        return service.resume(
            store, SOMEBODY, reason=None, operator=OPERATOR, now=now, at_their_wish=at_their_wish
        ).subscriber

    def test_goes_on_with_the_next_delivery_time_and_makes_up_for_nothing(self, store: Store) -> None:
        leave(store, added(store, wanting(at="18:00")), "paused")
        resumed = self.resume(store, now=NOON + timedelta(days=9))
        assert resumed.status == "active"
        assert resumed.next_due_at == datetime(2031, 5, 23, 18, tzinfo=UTC)

    def test_does_not_bring_a_second_story_on_the_same_day(self, store: Store) -> None:
        subscriber = added(store, wanting(at="18:00"))
        plan_next_story(store, subscriber)
        leave(store, subscriber, "paused")
        assert self.resume(store).next_due_at == datetime(2031, 5, 15, 18, tzinfo=UTC)

    @pytest.mark.parametrize("status", ["unsubscribed", "suppressed"])
    def test_needs_the_wish_of_those_who_left(self, store: Store, status: str) -> None:
        leave(store, added(store, wanting()), status)
        with pytest.raises(SubscriberStateError, match="--yes"):
            self.resume(store)
        assert self.resume(store, at_their_wish=True).status == "active"

    def test_is_not_how_removed_ones_come_back(self, store: Store) -> None:
        leave(store, added(store, wanting()), "removed")
        with pytest.raises(SubscriberStateError, match="subscribers add"):
            self.resume(store, at_their_wish=True)


class TestChanging:
    def change(self, store: Store, **wishes: Any) -> Subscriber:
        given = {"timezone": None, "delivery_time": None, "story_bible": {}, **wishes}
        return service.change(store, SOMEBODY, now=NOON, **given).subscriber

    def test_another_time_moves_the_next_story(self, store: Store) -> None:
        added(store, wanting(at="18:00"))
        assert self.change(store, delivery_time="20:00").next_due_at == datetime(2031, 5, 14, 20, tzinfo=UTC)

    def test_another_zone_brings_no_two_stories_within_half_a_day(self, store: Store) -> None:
        last = plan_next_story(store, added(store, wanting(at="18:00")))
        moved = self.change(store, timezone="Pacific/Kiritimati", delivery_time="12:00")
        assert (
            moved.next_due_at
            == first_due(
                timezone="Pacific/Kiritimati",
                delivery_time="12:00",
                now=NOON,
                last_local_date=TODAY,
                last_due_at=last,
            ).due_at
        )
        assert moved.next_due_at is not None
        assert moved.next_due_at >= last + MIN_GAP

    def test_other_preferences_leave_the_next_story_where_it_is(self, store: Store) -> None:
        before = added(store, wanting(genre="mystery", setting="a harbour"))
        after = self.change(store, story_bible={"genre": "", "character": "Ada"})
        assert after.story_bible == {"genre": "", "setting": "a harbour", "character": "Ada"}
        assert after.next_due_at == before.next_due_at

    def test_wakes_nobody_who_is_paused(self, store: Store) -> None:
        leave(store, added(store, wanting()), "paused")
        changed = self.change(store, delivery_time="20:00")
        assert (changed.status, changed.next_due_at) == ("paused", None)

    def test_nothing_to_change_is_an_error_in_words(self, store: Store) -> None:
        added(store, wanting())
        with pytest.raises(InputError, match="Say what to change"):
            self.change(store)

    def test_somebody_unknown_is_an_error_in_words(self, store: Store) -> None:
        with pytest.raises(UnknownSubscriberError):
            self.change(store, delivery_time="20:00")


class TestImporting:
    def test_goes_page_by_page_and_counts_each(self, store: Store) -> None:
        lines: Sequence[GoodLine | BadLine] = [
            GoodLine(line=2, sign_up=wanting("a@example.com")),
            BadLine(line=3, reason="why"),
            GoodLine(line=4, sign_up=wanting("b@example.com")),
        ]
        pages = list(import_pages(store, lines, NOON, page=2))
        assert pages == [Imported(added=1, bad=(BadLine(line=3, reason="why"),)), Imported(added=1)]

    def test_a_second_time_adds_nobody(self, store: Store) -> None:
        lines = [GoodLine(line=n, sign_up=wanting(f"reader{n}@example.com")) for n in range(2, 12)]
        assert list(import_pages(store, lines, NOON)) == [Imported(added=10)]
        assert list(import_pages(store, lines, NOON)) == [Imported(known=10)]

    def test_a_page_that_was_not_asked_for_is_not_begun(self, store: Store) -> None:
        lines = [GoodLine(line=n, sign_up=wanting(f"reader{n}@example.com")) for n in range(2, 12)]
        next(import_pages(store, lines, NOON, page=3))
        assert len(list(service.listed(store, status=None, search=None))) == 3

    def test_removed_ones_in_the_file_are_taken_back_and_paused_ones_are_not(self, store: Store) -> None:
        gone = added(store, wanting("gone@example.com"))
        away = added(store, wanting("away@example.com"))
        leave(store, gone, "removed")
        leave(store, away, "paused")
        lines = [GoodLine(line=n, sign_up=wanting(who.email)) for n, who in enumerate((gone, away), 2)]
        assert list(import_pages(store, lines, NOON)) == [Imported(restored=1, known=1)]
        assert service.find(store, away.email).status == "paused"


def leave(store: Store, subscriber: Subscriber, status: str) -> None:
    verdict = store.subscribers.set_status(
        subscriber.user_id, status=status, reason=None, by="test", host="test", due=None
    )
    assert verdict == "ok"
