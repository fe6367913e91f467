"""Many hands at once: nobody waits in a circle, nothing is given to two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from threading import Barrier
from typing import TypeVar
from uuid import UUID

import psycopg

from fixionmail.models.verdict import Verdict
from fixionmail.store import Store
from fixionmail.store.direct import DirectTransport
from tests.contract.store.world import World, new_subscriber, planned

HANDS = 8
Result = TypeVar("Result")


def at_once(hands: int, work: Callable[[int], Result]) -> list[Result]:
    """What each of ``hands`` threads made of it, all let go in the same moment."""
    start = Barrier(hands)

    def run(hand: int) -> Result:
        start.wait(timeout=30)
        return work(hand)

    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(run, range(hands)))


class TestPlanners:
    def test_with_opposite_orders_do_not_block_each_other(
        self, direct_world: World, shared_database: str
    ) -> None:
        world = direct_world
        world.subscribe(21)
        seen, fence = world.due_subscribers(), world.lead("scheduler")
        plans = [
            [planned(subscriber.user_id, seen=subscriber.next_due_at) for subscriber in order]
            for order in (seen, seen[::-1])
        ]
        # Joins in the order of the plan, as Postgres may choose to; and no second try, which would hide a deadlock.
        joins = (
            "?options=-c%20enable_hashjoin%3Doff%20-c%20enable_mergejoin%3Doff%20-c%20enable_seqscan%3Doff"
        )
        with (
            closing(Store.over(DirectTransport(shared_database + joins, 2), patience_seconds=0)) as store,
            psycopg.connect(shared_database) as other,
            ThreadPoolExecutor(2) as pool,
        ):
            middle = [seen[10].user_id]
            other.execute("select from subscriber_schedule where user_id = %s for update", middle)
            results = [
                pool.submit(store.jobs.plan, fence=fence, sweep_seconds=60, plan=plan) for plan in plans
            ]
            world.wait_for_lock_waiters(2)
            other.rollback()
            planned_by = sorted(len(result.result(timeout=30).job_ids) for result in results)
        assert planned_by == [0, 21]

    def test_importing_the_same_addresses_from_both_ends_adds_each_once(self, world: World) -> None:
        subscribers = impatient(world).subscribers

        def add(hand: int) -> list[str]:
            rows = [new_subscriber(f"reader{n}@example.com") for n in range(200)]
            return subscribers.add(rows[:: 1 if hand else -1])

        answers = Counter(answer for answers in at_once(2, add) for answer in answers)
        assert answers == {"added": 200, "known": 200}


def impatient(world: World) -> Store:
    """The store without a second try, which would hide a deadlock."""
    return Store.over(world.store.transport, patience_seconds=0)


class TestHandsForStories:
    def test_each_of_fifty_jobs_is_claimed_once(self, world: World) -> None:
        jobs = world.jobs(50)

        def take(hand: int) -> list[UUID]:
            return [job for job in jobs if world.claim(job, f"hand {hand}").verdict is Verdict.GO]

        taken = [job for took in at_once(HANDS, take) for job in took]
        assert sorted(taken) == sorted(jobs)

    def test_each_job_is_rung_for_once(self, world: World) -> None:
        jobs = world.jobs(50)
        world.change("update story_jobs set ring_at = clock_timestamp()")
        fence = world.lead("scheduler")
        rung = at_once(HANDS, lambda _: world.store.jobs.ring(fence=fence, sweep_seconds=60, limit=20))
        rung.append(world.store.jobs.ring(fence=fence, sweep_seconds=60, limit=100))
        assert sorted(job for part in rung for job in part) == sorted(jobs)


class TestHandsForMail:
    def test_no_delivery_is_in_two_drafts(self, world: World) -> None:
        deliveries = world.deliveries(40)
        world.slow_backlog()

        def take(hand: int) -> list[UUID]:
            taken: list[UUID] = []
            while (opened := world.open(f"hand {hand}", size=3)).verdict is Verdict.DRAFT:
                taken += [letter.delivery_id for letter in opened.letters]
            return taken

        taken = [delivery for took in at_once(HANDS, take) for delivery in took]
        assert sorted(taken) == sorted(deliveries)

    def test_one_hand_gets_the_go(self, world: World) -> None:
        batch, _ = world.sealed()
        verdicts = Counter(
            begun.verdict for begun in at_once(HANDS, lambda hand: world.begin(batch, f"hand {hand}"))
        )
        assert verdicts == {Verdict.GO: 1, Verdict.BUSY: HANDS - 1}

    def test_slots_are_as_far_apart_as_the_rate_whoever_asks(self, world: World) -> None:
        batches = [world.sealed()[0] for _ in range(HANDS)]
        world.change("update send_lines set rate = 4, next_slot_at = '-infinity'")
        at_once(HANDS, lambda hand: world.begin(batches[hand], f"hand {hand}"))
        slots = sorted(world.column("select first_used_at from mail_batches"))
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(slots)]
        assert all(gap >= 0.25 for gap in gaps), gaps


class TestLeaders:
    def test_of_many_who_ask_one_leads(self, world: World) -> None:
        views = at_once(HANDS, lambda hand: world.store.leases.acquire(
            name="scheduler", holder=f"loop {hand}", ttl_seconds=30, info={}))  # fmt: skip
        assert [view.held for view in views].count(True) == 1

    def test_counters_folded_by_several_add_up(self, world: World) -> None:
        world.jobs(30)
        fence = world.lead("delivery")
        at_once(HANDS, lambda _: world.line.tick(fence=fence, max_size=1))
        assert world.value("select sum(n) from counter_base where state = 'pending'") == 30
