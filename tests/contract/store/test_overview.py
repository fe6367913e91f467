"""What people see of the database, and the counters behind it."""

from __future__ import annotations

from datetime import timedelta

from tests.contract.store.world import HOUR, TODAY, World, now


class TestOverview:
    def test_of_an_empty_database(self, world: World) -> None:
        overview = world.store.upkeep.overview(TODAY)
        assert abs((overview.now - now()).total_seconds()) < 5
        assert (overview.day, overview.jobs, overview.deliveries, overview.batches_open) == (
            TODAY,
            {},
            {},
            {},
        )
        assert (overview.leaders, overview.processes, overview.switches, overview.lines) == ((), (), (), ())
        assert (overview.jobs_waiting, overview.jobs_running, overview.deliveries_due) == (0, 0, 0)
        assert (overview.oldest_due_at, overview.next_due_at, overview.next_plan_due_at) == (None, None, None)

    def test_of_a_busy_one(self, world: World) -> None:
        world.sending(2)
        oldest, later = now() - 2 * HOUR, now() + HOUR
        world.deliveries(due_at=oldest)
        world.deliveries(due_at=later)
        world.jobs(3)
        world.claimed(world.job())
        overview = world.store.upkeep.overview(TODAY)
        assert overview.jobs == {"completed": 4, "pending": 3, "running": 1}
        assert overview.deliveries == {"sending": 2, "pending": 2}
        assert (overview.jobs_waiting, overview.jobs_running, overview.deliveries_due) == (3, 1, 1)
        assert (overview.oldest_due_at, overview.next_due_at) == (oldest, later)
        assert overview.batches_open == {"sending": 1}
        assert [(line.name, line.paused_until, line.paused_reason) for line in overview.lines] == [
            ("resend", None, "")
        ]

    def test_knows_when_the_next_story_is_to_be_planned(self, world: World) -> None:
        first = now() + HOUR
        world.subscribe(due_at=first)
        world.subscribe(due_at=first + HOUR)
        assert world.store.upkeep.overview(TODAY).next_plan_due_at == first

    def test_counts_the_subscribers_own_date(self, world: World) -> None:
        world.jobs(2)
        assert world.store.upkeep.overview(TODAY + timedelta(days=1)).jobs == {}

    def test_a_lease_that_lapsed_or_was_released_is_not_held(self, world: World) -> None:
        fence = world.lead("scheduler")
        world.lead("delivery")
        world.store.leases.release(name="scheduler", holder="leader", fence=fence)
        world.change("update leases set expires_at = clock_timestamp() where name = 'delivery'")
        leaders = world.store.upkeep.overview(TODAY).leaders
        assert [(leader.name, leader.holder, leader.held) for leader in leaders] == [
            ("delivery", "leader", False),
            ("scheduler", "", False),
        ]


class TestCounters:
    def test_adding_up_changes_no_count(self, world: World) -> None:
        world.sent(3)
        before = world.store.upkeep.overview(TODAY)
        assert world.store.upkeep.fold_counters() > 0
        after = world.store.upkeep.overview(TODAY)
        assert (after.jobs, after.deliveries) == (before.jobs, before.deliveries)
        assert world.store.upkeep.fold_counters() == 0
