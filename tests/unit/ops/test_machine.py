"""What this machine knows better than the records: a worker whose process has gone is dead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixionmail.ops.checks import Machine, find
from fixionmail.ops.machine import corrected
from fixionmail.ops.views.redis import WorkerHealth
from fixionmail.ops.views.section import Section
from tests.unit.ops.looks import well

GONE = Machine(host="mill", pids=frozenset({1, 8}))


def test_a_worker_whose_process_has_gone_from_here_is_dead_and_serves_no_queue() -> None:
    seen = corrected(well(), GONE)
    assert [worker.health for worker in seen.workers.value or ()] == [WorkerHealth.DEAD]
    assert [queue.workers for queue in seen.queues.value or ()] == [0, 0]


@pytest.mark.parametrize("here", [replace(GONE, host="elsewhere"), replace(GONE, pids=frozenset({7}))])
def test_one_that_runs_here_or_on_another_machine_is_left_as_it_is(here: Machine) -> None:
    assert corrected(well(), here) == well()


def test_a_worker_that_was_dead_already_is_not_taken_off_its_queues_twice() -> None:
    (worker,) = well().workers.value or ()
    dead = replace(well(), workers=Section(value=(replace(worker, health=WorkerHealth.DEAD),)))
    assert corrected(dead, GONE) == dead


def test_where_redis_does_not_answer_nothing_is_made_up() -> None:
    away = replace(well(), workers=Section(error="away"), queues=Section(error="away"))
    assert corrected(away, GONE) == away


def test_queues_that_somebody_else_serves_are_not_said_to_be_served_by_nobody() -> None:
    seen = well()
    (worker,) = seen.workers.value or ()
    queues = tuple(replace(queue, waiting=1, workers=2) for queue in seen.queues.value or ())
    other = replace(worker, name="v", pid=8)
    both = replace(seen, workers=replace(seen.workers, value=(worker, other)), queues=Section(value=queues))
    for look in (both, corrected(both, GONE)):
        assert "queue-unserved" not in {finding.kind for finding in find(look, machine=GONE)}
