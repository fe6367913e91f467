"""Leases, heartbeats and switches."""

from __future__ import annotations

import time

import pytest

from fixionmail.models.jobs import LeaseView
from tests.contract.store.world import TODAY, World, now, planned


def acquire(world: World, holder: str, ttl: float = 30) -> LeaseView:
    return world.store.leases.acquire(
        name="scheduler", holder=holder, ttl_seconds=ttl, info={"holder": holder}
    )


class TestLeases:
    def test_the_first_who_asks_leads(self, world: World) -> None:
        view = acquire(world, "a")
        assert (view.held, view.holder) == (True, "a")
        assert abs((view.now - now()).total_seconds()) < 5

    def test_a_second_holder_is_told_who_leads(self, world: World) -> None:
        first = acquire(world, "a")
        second = acquire(world, "b")
        assert (second.held, second.holder, second.fence) == (False, "a", first.fence)

    def test_renewing_keeps_the_fence(self, world: World) -> None:
        assert acquire(world, "a").fence == acquire(world, "a").fence

    def test_a_lapsed_lease_goes_to_whoever_asks_with_a_higher_fence(self, world: World) -> None:
        first = acquire(world, "a", ttl=0.01)
        time.sleep(0.02)
        second = acquire(world, "b")
        assert second.held
        assert second.fence > first.fence

    def test_a_holder_whose_lease_lapsed_gets_a_new_fence(self, world: World) -> None:
        first = acquire(world, "a", ttl=0.01)
        time.sleep(0.02)
        again = acquire(world, "a")
        assert again.held
        assert again.fence > first.fence

    def test_leases_of_two_names_have_nothing_to_do_with_each_other(self, world: World) -> None:
        acquire(world, "a")
        assert world.store.leases.acquire(name="delivery", holder="b", ttl_seconds=30, info={}).held

    def test_a_released_lease_is_free_at_once(self, world: World) -> None:
        first = acquire(world, "a")
        world.store.leases.release(name="scheduler", holder="a", fence=first.fence)
        second = acquire(world, "b")
        assert second.held
        assert second.fence > first.fence

    def test_releasing_what_has_passed_on_changes_nothing(self, world: World) -> None:
        first = acquire(world, "a", ttl=0.01)
        time.sleep(0.02)
        acquire(world, "b")
        world.store.leases.release(name="scheduler", holder="a", fence=first.fence)
        assert not acquire(world, "c").held

    def test_the_leaders_report_is_kept_for_people(self, world: World) -> None:
        acquire(world, "a")
        (leader,) = world.store.operations.snapshot(TODAY).leaders
        assert (leader.name, leader.holder, leader.held, leader.info) == (
            "scheduler",
            "a",
            True,
            {"holder": "a"},
        )


class TestAStaleFence:
    def test_plans_nothing(self, world: World) -> None:
        stale = world.lead("scheduler", "a")
        world.store.leases.release(name="scheduler", holder="a", fence=stale)
        world.lead("scheduler", "b")
        (user,) = world.subscribe()
        (seen,) = world.due_subscribers()
        plan = [planned(user, seen=seen.next_due_at)]
        result = world.store.jobs.plan(fence=stale, sweep_seconds=60, plan=plan)
        assert result.stale
        assert world.column("select id from story_jobs") == []
        assert [still.user_id for still in world.due_subscribers()] == [user]

    def test_rings_for_nothing(self, world: World) -> None:
        world.job()
        world.change("update story_jobs set ring_at = clock_timestamp()")
        fence = world.lead("scheduler")
        assert world.store.jobs.ring(fence=fence - 1, sweep_seconds=60, limit=10) == ()
        assert len(world.store.jobs.ring(fence=fence, sweep_seconds=60, limit=10)) == 1

    def test_repairs_nothing(self, world: World) -> None:
        batch, _, _ = world.draft()
        world.lapse(batch)
        fence = world.lead("delivery")
        assert world.line.tick(fence=fence - 1, max_size=1).repairs == {}
        assert world.state("mail_batches", batch) == "draft"

    def test_a_lapsed_lease_is_as_stale_as_one_that_passed_on(self, world: World) -> None:
        fence = world.lead("delivery")
        world.change("update leases set expires_at = clock_timestamp()")
        batch, _, _ = world.draft()
        world.lapse(batch)
        assert world.line.tick(fence=fence, max_size=1).repairs == {}


class TestHeartbeats:
    def beat(self, world: World, process: str, info: dict[str, object]) -> None:
        world.store.leases.heartbeat(
            process=process, kind="worker", host="h", pid=7, version="1", started_at=now(), info=info
        )

    def test_the_overview_shows_who_is_alive_and_for_how_long_they_were_silent(self, world: World) -> None:
        self.beat(world, "w1", {"slots": 4})
        (process,) = world.store.operations.snapshot(TODAY).processes
        assert (process.process, process.kind, process.host, process.pid) == ("w1", "worker", "h", 7)
        assert process.info == {"slots": 4}
        assert 0 <= process.silent_seconds < 5

    def test_each_beat_takes_the_place_of_the_one_before(self, world: World) -> None:
        self.beat(world, "w1", {"slots": 4})
        world.change("update heartbeats set seen_at = seen_at - interval '1 minute'")
        self.beat(world, "w1", {"slots": 5})
        (process,) = world.store.operations.snapshot(TODAY).processes
        assert process.info == {"slots": 5}
        assert process.silent_seconds < 5

    def test_a_process_that_stops_is_taken_off_the_list(self, world: World) -> None:
        self.beat(world, "w1", {})
        self.beat(world, "w2", {})
        world.store.leases.forget_process("w1")
        world.store.leases.forget_process("w1")
        assert [p.process for p in world.store.operations.snapshot(TODAY).processes] == ["w2"]

    def test_a_process_silent_for_a_day_is_forgotten(self, world: World) -> None:
        self.beat(world, "long gone", {})
        world.change("update heartbeats set seen_at = seen_at - interval '25 hours'")
        self.beat(world, "alive", {})
        world.tick()
        assert [p.process for p in world.store.operations.snapshot(TODAY).processes] == ["alive"]


class TestSwitches:
    def set(self, world: World, *, on: bool, name: str = "scheduler_paused") -> bool:
        return world.store.leases.set_switch(name=name, on=on, by="ana", host="h", reason="a look")

    def test_a_switch_that_is_on_is_shown_with_who_and_why(self, world: World) -> None:
        assert self.set(world, on=True)
        (switch,) = world.store.operations.snapshot(TODAY).switches
        assert (switch.name, switch.set_by, switch.reason) == ("scheduler_paused", "ana", "a look")

    def test_a_switch_that_is_off_is_not_shown(self, world: World) -> None:
        self.set(world, on=True)
        self.set(world, on=False)
        assert world.store.operations.snapshot(TODAY).switches == ()

    def test_setting_it_as_it_is_changes_and_records_nothing(self, world: World) -> None:
        assert self.set(world, on=True)
        assert not self.set(world, on=True)
        assert [row["action"] for row in world.audit()] == ["switch on"]

    def test_every_change_is_on_record(self, world: World) -> None:
        self.set(world, on=True)
        self.set(world, on=False)
        assert [(r["actor"], r["host"], r["action"], r["target"], r["reason"]) for r in world.audit()] == [
            ("ana", "h", "switch on", "scheduler_paused", "a look"),
            ("ana", "h", "switch off", "scheduler_paused", "a look"),
        ]

    def test_while_planning_is_paused_nobody_is_due(self, world: World) -> None:
        world.subscribe()
        self.set(world, on=True)
        assert world.due_subscribers() == []
        self.set(world, on=False)
        assert len(world.due_subscribers()) == 1

    @pytest.mark.parametrize("name", ["scheduler_pause", ""])
    def test_an_unknown_switch_is_an_error_and_not_a_switch_nobody_asks(
        self, world: World, name: str
    ) -> None:
        from fixionmail.errors import DatabaseError

        with pytest.raises(DatabaseError, match="switches_name_check"):
            self.set(world, on=True, name=name)


def test_a_persons_action_is_put_on_record(world: World) -> None:
    world.store.operations.record_audit(
        actor="ana", host="h", action="look", target="t", reason="because", result={"n": [1, "\u2603"]}
    )
    (row,) = world.audit()
    assert (row["actor"], row["action"], row["target"], row["result"]) == (
        "ana",
        "look",
        "t",
        {"n": [1, "\u2603"]},
    )
