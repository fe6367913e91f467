"""What holds after any walk through the life of stories and mails, whatever fails on the way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from uuid_utils.compat import uuid7

from fixionmail.models.mail import Outcome
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import TODAY, World

STEPS = 80


@pytest.fixture(params=range(2))
def walk(request: pytest.FixtureRequest, direct_world: World) -> Iterator[World]:
    """The world after each step of a random walk."""
    walk = Walk(direct_world, random.Random(request.param))

    def steps() -> Iterator[World]:
        for _ in range(STEPS):
            walk.step()
            yield direct_world

    return steps()


def test_the_counters_agree_with_the_tables(walk: Iterator[World]) -> None:
    seen: set[str] = set()
    for world in walk:
        overview = world.store.operations.snapshot(TODAY)
        seen |= overview.deliveries.keys()
        assert overview.jobs == recount(world, "story_jobs")
        assert overview.deliveries == recount(world, "scheduled_deliveries")
    assert {"sending", "sent"} < seen, "the walk went nowhere"


def test_a_delivery_on_its_way_is_in_one_live_batch_and_no_other_is(walk: Iterator[World]) -> None:
    for world in walk:
        sending = world.column("select id from scheduled_deliveries where state = 'sending' order by id")
        live = world.column(
            "select i.delivery_id from mail_batch_items i join mail_batches b on b.id = i.batch_id"
            " where i.live and b.settled_at is null order by 1"
        )
        assert sending == live
        assert world.value("select count(*) from mail_batch_items where live") == len(live)


def test_bytes_are_kept_exactly_while_they_may_go_out(walk: Iterator[World]) -> None:
    for world in walk:
        open_batches = world.column(
            "select id from mail_batches where state in ('sealed', 'sending', 'ambiguous') order by id"
        )
        assert world.column("select batch_id from mail_bodies order by 1") == open_batches


def test_a_batch_is_settled_exactly_when_it_has_an_end(walk: Iterator[World]) -> None:
    ends = "('accepted', 'rejected', 'uncertain', 'dissolved')"
    for world in walk:
        query = f"select count(*) from mail_batches where (settled_at is null) = (state in {ends})"
        assert world.value(query) == 0


def test_nothing_is_sent_twice(walk: Iterator[World]) -> None:
    for world in walk:
        assert world.store.deliveries.duplicates(since=TODAY) == ()
    assert world.audit("sent twice") == []


def recount(world: World, table: str) -> dict[str, int]:
    return Counter(world.column(f"select state from {table} where local_date = %s", TODAY))


class Walk:
    """Random operations of the whole life of stories and mails."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._world.value("select setseed(%s)::text", chance.random())
        self._steps = {
            self._send: 10, self._write: 5, self._plan: 4, self._fail: 1, self._lapse: 1, self._reap: 1, self._fold: 1,
            self._leave: 1, self._miss: 1, self._delete: 1,
        }  # fmt: skip

    def step(self) -> None:
        (step,) = self._chance.choices(list(self._steps), list(self._steps.values()))
        step()

    def _plan(self) -> None:
        self._world.jobs(self._chance.randint(1, 4))

    def _pending(self, share: float) -> list[object]:
        jobs = self._world.column("select id from story_jobs where state = 'pending' order by id")
        return self._chance.sample(jobs, round(len(jobs) * share))

    def _write(self) -> None:
        for job in self._pending(0.7):
            claim = self._world.claim(job)  # type: ignore[arg-type]
            if claim.verdict is Verdict.GO:
                self._world.complete(job, claim.token)  # type: ignore[arg-type]

    def _fail(self) -> None:
        for job in self._pending(0.3):
            claim = self._world.claim(job)  # type: ignore[arg-type]
            if claim.verdict is Verdict.GO and self._chance.random() < 0.7:
                retry = self._chance.choice([None, 0.0])
                self._world.store.jobs.fail(job, token=claim.token, error="no", retry_seconds=retry)  # type: ignore[arg-type]

    def _send(self) -> None:
        self._world.slow_backlog()
        self._world.change("update send_lines set paused_until = '-infinity'")
        self._world.change("update mail_batches set next_attempt_at = clock_timestamp()")
        opened = self._world.open(size=self._chance.randint(1, 5))
        self._world.full_speed()
        if opened.batch_id is None:
            return
        if opened.verdict is Verdict.DRAFT:
            unfit = {letter.delivery_id: "no" for letter in opened.letters if self._chance.random() < 0.1}
            self._world.seal(opened.batch_id, opened.token, uuid7().bytes, unfit=unfit)
        begun = self._world.begin(opened.batch_id)
        if begun.verdict is Verdict.GO and self._chance.random() < 0.8:
            outcome = self._chance.choice([*Outcome, Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.REFUSED])
            ids = tuple(f"id-{n}" for n in range(begun.count))
            self._world.settle(opened.batch_id, begun.token, outcome, ids=ids, error="e")

    def _lapse(self) -> None:
        for table in ("story_jobs", "mail_batches"):
            self._world.change(
                f"update {table} set lease_expires_at = clock_timestamp() - interval '1 second' where random() < 0.5"
            )

    def _leave(self) -> None:
        users = self._world.column("select id from users where status = 'active' order by id")
        if users:
            status = self._chance.choice(["paused", "suppressed"])
            self._world.store.subscribers.set_status(
                self._chance.choice(users), status=status, reason=None, by="ana", host="h", due=None
            )

    def _miss(self) -> None:
        for table in ("story_jobs", "scheduled_deliveries", "mail_batches"):
            self._world.change(f"update {table} set send_until = clock_timestamp() where random() < 0.05")

    def _reap(self) -> None:
        self._world.tick()

    def _fold(self) -> None:
        self._world.tick()

    def _delete(self) -> None:
        self._world.change("delete from mail_batch_items where delivery_id = (select min(id::text)::uuid from"
                           " scheduled_deliveries)")  # fmt: skip
        self._world.change("delete from scheduled_deliveries where id = (select min(id::text)::uuid from"
                           " scheduled_deliveries)")  # fmt: skip
