"""What an audit of Redis asks the database: which jobs it does not know, and which it has announced."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from tests.contract.store.world import HOUR, World, now


def announced(world: World, limit: int = 100) -> list[UUID]:
    """All of them, page by page."""
    found: list[UUID] = []
    after: datetime | None = None
    while page := world.store.operations.announced_story_jobs(after=after, limit=limit):
        found += [job for job, _ in page]
        after = page[-1][1]
    return found


class TestUnknownJobs:
    def test_are_those_of_the_asked_that_are_not_there(self, world: World) -> None:
        waiting, running = world.jobs(2)
        world.claimed(running)
        stranger = uuid4()
        ask = world.store.operations.unknown_story_jobs
        assert ask([waiting, stranger, running]) == {stranger}
        assert ask([waiting, running]) == frozenset()
        assert ask([]) == frozenset()

    def test_are_looked_for_by_the_primary_key(self, direct_world: World) -> None:
        direct_world.jobs(2)
        direct_world.change("set enable_seqscan = off")
        plan = direct_world.column(
            "explain select value::uuid from jsonb_array_elements_text('[]') named(value)"
            " where not exists (select from story_jobs j where j.id = value::uuid)"
        )
        direct_world.change("set enable_seqscan = on")
        assert any("story_jobs_pkey" in line for line in plan)


class TestAnnouncedJobs:
    def test_are_those_that_wait_for_a_worker_after_their_ring(self, world: World) -> None:
        waiting, running, resting, unrung = world.jobs(4)
        world.claimed(running)
        for column, job, at in (
            ("run_after", resting, now() + HOUR),
            ("ring_at", unrung, now() - HOUR),
        ):
            world.change(f"update story_jobs set {column} = %s where id = %s", at, job)
        assert announced(world) == [waiting]

    def test_come_page_by_page_each_once_in_the_order_of_their_next_ring(self, world: World) -> None:
        jobs = world.jobs(7)
        at = now() + timedelta(minutes=1)
        for job in jobs[:5]:  # rung for at once
            world.change("update story_jobs set ring_at = %s where id = %s", at, job)
        for minutes, job in enumerate(jobs[5:], start=2):
            world.change(
                "update story_jobs set ring_at = %s where id = %s", at + timedelta(minutes=minutes), job
            )
        found = announced(world, limit=2)
        assert (set(found[:5]), found[5:]) == (set(jobs[:5]), jobs[5:])

    def test_tell_when_they_are_rung_for_again(self, world: World) -> None:
        job = world.job()
        ((found, ring_at),) = world.store.operations.announced_story_jobs()
        assert (found, ring_at) == (job, world.row("story_jobs", job)["ring_at"])

    def test_are_none_where_nothing_waits(self, world: World) -> None:
        assert announced(world) == []
