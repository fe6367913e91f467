"""Adding, finding and changing subscribers."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.subscribers import Subscriber
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import HOUR, TODAY, World, due, new_subscriber, now, planned


def find(world: World, who: str | UUID, deliveries: int = 0) -> Subscriber:
    found = world.store.subscribers.find(str(who), deliveries=deliveries)
    assert found is not None
    return found


def set_status(world: World, user: UUID, status: str, **changes: object) -> str:
    arguments = {"reason": "asked to", "by": "ana", "host": "h", "due": None} | changes
    return world.store.subscribers.set_status(user, status=status, **arguments)  # type: ignore[arg-type]


def plan_today(world: World, user: UUID) -> UUID:
    """Plan the subscriber's story of TODAY; afterwards they are due tomorrow."""
    (seen,) = [due for due in world.due_subscribers() if due.user_id == user]
    job = planned(user, seen=seen.next_due_at)
    world.store.jobs.plan(fence=world.lead("scheduler"), sweep_seconds=60, plan=[job])
    return job.job_id


class TestAdding:
    def test_a_new_subscriber_is_there_with_all_that_was_given(self, world: World) -> None:
        row = new_subscriber("Ada@Example.com", bible={"genre": "noir"})
        assert world.store.subscribers.add([row]) == ["added"]
        found = find(world, row.user_id)
        assert (found.user_id, found.email, found.status) == (row.user_id, "Ada@Example.com", "active")
        assert (found.timezone, found.delivery_time) == ("Europe/Lisbon", "08:00")
        assert (found.story_bible, found.credits, found.deliveries) == ({"genre": "noir"}, 0, ())
        assert (found.next_due_at, found.last_local_date, found.last_due_at) == (row.due.due_at, None, None)

    def test_an_address_that_is_known_is_left_as_it_is(self, world: World) -> None:
        first = new_subscriber("ada@example.com")
        world.store.subscribers.add([first])
        assert world.store.subscribers.add([new_subscriber("ADA@example.com", timezone="Asia/Tokyo")]) == [
            "known"
        ]
        assert find(world, "ada@example.com").timezone == "Europe/Lisbon"

    def test_the_answers_stand_in_the_order_of_the_rows(self, world: World) -> None:
        world.store.subscribers.add([new_subscriber("b@example.com")])
        rows = [new_subscriber(f"{name}@example.com") for name in "zba"]
        assert world.store.subscribers.add(rows) == ["added", "known", "added"]

    def test_repeated_with_the_same_ids_it_answers_as_before(self, world: World) -> None:
        rows = [new_subscriber(), new_subscriber()]
        assert world.store.subscribers.add(rows) == world.store.subscribers.add(rows) == ["added", "added"]
        assert world.value("select count(*) from users") == 2

    def test_an_address_twice_among_the_rows_is_added_once_as_it_came_first(self, world: World) -> None:
        rows = [
            new_subscriber("ada@example.com", timezone="Asia/Tokyo"),
            new_subscriber("Ada@example.com", timezone="Europe/Rome"),
        ]
        assert world.store.subscribers.add(rows) == ["added", "known"]
        found = find(world, "ada@example.com")
        assert (found.user_id, found.timezone) == (rows[0].user_id, "Asia/Tokyo")

    def test_nobody_is_fine(self, world: World) -> None:
        assert world.store.subscribers.add([]) == []

    @pytest.mark.parametrize("status", ["paused", "unsubscribed", "suppressed"])
    def test_who_left_by_themselves_is_not_taken_back_by_an_import(self, world: World, status: str) -> None:
        world.store.subscribers.add([new_subscriber("ada@example.com")])
        set_status(world, find(world, "ada@example.com").user_id, status)
        assert world.store.subscribers.add([new_subscriber("ada@example.com")]) == ["known"]
        assert find(world, "ada@example.com").status == status


class TestRestoring:
    def test_a_removed_subscriber_is_taken_back_with_the_new_wishes(self, world: World) -> None:
        row = new_subscriber("ada@example.com")
        world.store.subscribers.add([row])
        set_status(world, row.user_id, "removed")
        later = now() + HOUR
        again = new_subscriber(
            "ada@example.com", timezone="Asia/Tokyo", bible={"genre": "noir"}, due_at=later
        )
        assert world.store.subscribers.add([again]) == ["restored"]
        found = find(world, "ada@example.com")
        assert (found.user_id, found.status, found.status_reason) == (row.user_id, "active", "")
        assert (found.timezone, found.story_bible, found.next_due_at) == (
            "Asia/Tokyo",
            {"genre": "noir"},
            later,
        )

    def test_on_the_day_of_a_story_there_is_no_second_one(self, world: World) -> None:
        row = new_subscriber("ada@example.com")
        world.store.subscribers.add([row])
        plan_today(world, row.user_id)
        tomorrow = find(world, row.user_id).next_due_at
        set_status(world, row.user_id, "removed")
        assert world.store.subscribers.add([new_subscriber("ada@example.com", due_at=now() + HOUR)]) == [
            "restored"
        ]
        assert find(world, row.user_id).next_due_at == tomorrow
        (due_again,) = world.store.jobs.due_subscribers(until=now() + 48 * HOUR, limit=10)
        assert due_again.next_local_date == TODAY + timedelta(days=1)

    def test_twice_among_the_rows_is_restored_once(self, world: World) -> None:
        row = new_subscriber("ada@example.com")
        world.store.subscribers.add([row])
        set_status(world, row.user_id, "removed")
        rows = [new_subscriber("ada@example.com", timezone=zone) for zone in ("Asia/Tokyo", "Europe/Rome")]
        assert world.store.subscribers.add(rows) == ["restored", "restored"]
        assert find(world, row.user_id).timezone == "Asia/Tokyo"


class TestFinding:
    def test_by_address_in_any_case_or_by_id_in_any_case(self, world: World) -> None:
        row = new_subscriber("Ada@example.com")
        world.store.subscribers.add([row])
        for who in ("ada@EXAMPLE.com", str(row.user_id), str(row.user_id).upper()):
            assert find(world, who).user_id == row.user_id

    @pytest.mark.parametrize(
        "who", ["nobody@example.com", "01234567-89ab-cdef-0123-456789abcdef", "", "%", "12345678-1234-1234"]
    )
    def test_nobody_is_none(self, world: World, who: str) -> None:
        world.subscribe()
        assert world.store.subscribers.find(who) is None

    def test_with_the_last_deliveries(self, world: World) -> None:
        (delivery,) = world.deliveries()
        user = world.row("scheduled_deliveries", delivery)["user_id"]
        (past,) = find(world, user, deliveries=5).deliveries
        assert (past.delivery_id, past.local_date, past.state, past.title) == (
            delivery,
            TODAY,
            "pending",
            "The Lamp",
        )
        assert past.sent_at is None
        assert find(world, user, deliveries=0).deliveries == ()


class TestListing:
    def names(self, world: World, **wanted: object) -> list[str]:
        arguments = {"status": None, "search": None, "after": None, "limit": 100} | wanted
        page = world.store.subscribers.list(**arguments)  # type: ignore[arg-type]
        return [subscriber.email.split("@")[0] for subscriber in page]

    def fill(self, world: World) -> dict[str, UUID]:
        rows = {name: new_subscriber(f"{name}@example.com") for name in ("bob", "Ada", "carl", "dan")}
        world.store.subscribers.add(list(rows.values()))
        return {name: row.user_id for name, row in rows.items()}

    def test_is_in_the_order_of_addresses_whatever_their_case(self, world: World) -> None:
        self.fill(world)
        assert self.names(world) == ["Ada", "bob", "carl", "dan"]

    def test_goes_page_by_page(self, world: World) -> None:
        self.fill(world)
        assert self.names(world, limit=2) == ["Ada", "bob"]
        assert self.names(world, limit=2, after="BOB@example.com") == ["carl", "dan"]
        assert self.names(world, limit=2, after="dan@example.com") == []

    def test_finds_parts_of_addresses_and_takes_no_character_for_a_pattern(self, world: World) -> None:
        self.fill(world)
        assert self.names(world, search="A@E") == ["Ada"]
        assert self.names(world, search="%") == self.names(world, search="_") == []

    def test_by_status(self, world: World) -> None:
        users = self.fill(world)
        set_status(world, users["bob"], "paused")
        assert self.names(world, status="paused") == ["bob"]
        assert self.names(world, status="active") == ["Ada", "carl", "dan"]

    def test_removed_ones_come_only_when_asked_for(self, world: World) -> None:
        users = self.fill(world)
        set_status(world, users["bob"], "removed")
        assert self.names(world) == ["Ada", "carl", "dan"]
        assert self.names(world, status="removed") == ["bob"]

    def test_a_page_of_more_than_a_thousand_comes_whole(self, world: World) -> None:
        world.subscribe(1200)
        assert len(self.names(world, limit=5000)) == 1200


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("paused", "cancelled"),
            ("unsubscribed", "cancelled"),
            ("suppressed", "suppressed"),
            ("removed", "cancelled"),
        ],
    )
    def test_leaving_withdraws_what_has_not_left_yet(self, world: World, status: str, state: str) -> None:
        (delivery,) = world.deliveries()
        user = world.row("scheduled_deliveries", delivery)["user_id"]
        assert set_status(world, user, status) == "ok"
        row = world.row("scheduled_deliveries", delivery)
        assert (row["state"], row["reason"]) == (state, f"the subscriber is {status}")
        assert world.open().verdict is Verdict.EMPTY
        assert find(world, user).next_due_at is None

    def test_leaving_cancels_the_job_that_waits(self, world: World) -> None:
        job = world.job()
        set_status(world, world.row("story_jobs", job)["user_id"], "paused")
        row = world.row("story_jobs", job)
        assert (row["state"], row["error"]) == ("cancelled", "the subscriber is paused")

    def test_what_is_in_a_batch_is_left_to_the_last_word_before_sending(self, world: World) -> None:
        batch, (member,) = world.sealed()
        set_status(world, world.row("scheduled_deliveries", member)["user_id"], "unsubscribed")
        assert world.state("scheduled_deliveries", member) == "sending"
        assert world.begin(batch).verdict is Verdict.DONE
        assert world.state("scheduled_deliveries", member) == "cancelled"

    def test_others_are_not_touched(self, world: World) -> None:
        first, second = world.deliveries(2)
        set_status(world, world.row("scheduled_deliveries", first)["user_id"], "paused")
        assert world.state("scheduled_deliveries", second) == "pending"

    def test_coming_back_sets_the_next_story(self, world: World) -> None:
        (user,) = world.subscribe()
        set_status(world, user, "paused")
        next_due = due(due_at=now() + 5 * HOUR)
        assert set_status(world, user, "active", due=next_due) == "ok"
        found = find(world, user)
        assert (found.status, found.next_due_at) == ("active", next_due.due_at)

    def test_is_on_record_with_who_and_why(self, world: World) -> None:
        (user,) = world.subscribe()
        set_status(world, user, "paused")
        (row,) = world.audit()
        assert (row["actor"], row["host"], row["action"], row["target"]) == (
            "ana",
            "h",
            "subscriber paused",
            str(user),
        )
        assert (row["reason"], row["result"]) == ("asked to", {"was": "active"})
        assert find(world, user).status_reason == "asked to"

    def test_as_it_is_changes_and_records_nothing(self, world: World) -> None:
        (user,) = world.subscribe()
        set_status(world, user, "paused")
        assert set_status(world, user, "paused", reason="again") == "already"
        assert find(world, user).status_reason == "asked to"
        assert len(world.audit()) == 1

    def test_of_nobody_is_gone(self, world: World) -> None:
        assert set_status(world, uuid7(), "paused") == "gone"


class TestChanging:
    def change(self, world: World, user: UUID, **changes: object) -> str:
        arguments = {"timezone": None, "delivery_time": None, "story_bible": None, "due": None} | changes
        return world.store.subscribers.change(user, **arguments)  # type: ignore[arg-type]

    def test_takes_up_what_was_given_and_leaves_the_rest(self, world: World) -> None:
        (user,) = world.subscribe()
        before = find(world, user)
        next_due = due(due_at=now() + 3 * HOUR)
        assert self.change(world, user, timezone="Asia/Tokyo", due=next_due) == "ok"
        found = find(world, user)
        assert (found.timezone, found.delivery_time) == ("Asia/Tokyo", before.delivery_time)
        assert (found.next_due_at, found.story_bible) == (next_due.due_at, before.story_bible)
        assert self.change(world, user, delivery_time="21:30") == "ok"
        assert find(world, user).next_due_at == next_due.due_at

    def test_wishes_are_added_to_those_before(self, world: World) -> None:
        (user,) = world.subscribe()
        self.change(world, user, story_bible={"genre": "noir"})
        assert find(world, user).story_bible == {
            "genre": "noir",
            "setting": "a lighthouse",
            "character": "Ada",
        }

    def test_of_nobody_is_gone(self, world: World) -> None:
        assert self.change(world, uuid7()) == "gone"


class TestTwoWhoChangeTheSameSubscriber:
    def test_what_was_decided_on_an_older_state_changes_nothing(self, world: World) -> None:
        (user,) = world.subscribe()
        set_status(world, user, "unsubscribed")
        assert set_status(world, user, "paused", seen_status="active") == "changed"
        assert find(world, user).status == "unsubscribed"

    def test_nor_does_it_withdraw_the_stories_of_somebody_who_came_back(self, world: World) -> None:
        (user,) = world.subscribe()
        plan_today(world, user)
        assert set_status(world, user, "removed", seen_status="paused") == "changed"
        assert world.column("select state from story_jobs") == ["pending"]

    def test_what_was_decided_on_the_present_state_is_done(self, world: World) -> None:
        (user,) = world.subscribe()
        assert set_status(world, user, "paused", seen_status="active") == "ok"
