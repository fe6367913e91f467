"""Which deliveries a filter means."""

from __future__ import annotations

from uuid import UUID

import pytest

from fixionmail.errors import InputError
from fixionmail.ops.matching import DELIVERIES_PAGE, deliveries_matching
from tests.contract.store.world import HOUR, World, now


def matching(world: World, query: str) -> list[UUID]:
    return [found.delivery_id for found in deliveries_matching(world.store, query)]


def test_states_and_a_part_of_the_title_hold_at_once(world: World) -> None:
    lamp, sea, waiting = world.deliveries(3)
    world.change("update scheduled_deliveries set state = 'missed' where id = any(%s)", [lamp, sea])
    world.change(
        "update stories set title = 'The Sea' where id = (select story_id from scheduled_deliveries where id = %s)",
        sea,
    )
    assert set(matching(world, "state:missed")) == {lamp, sea}
    assert matching(world, "state:missed,rejected the sea") == [sea]
    assert set(matching(world, "the lamp")) == {lamp, waiting}
    assert matching(world, f"state:pending state:sent {waiting}") == [waiting]


def test_all_are_found_however_many_there_are_newest_first(world: World) -> None:
    (old,) = world.deliveries(due_at=now() - 2 * HOUR)
    (new,) = world.deliveries()
    world.change("alter table scheduled_deliveries drop constraint unique_story_delivery")
    world.change(
        "insert into scheduled_deliveries (id, job_id, story_id, user_id, kind, local_date, due_at, send_until, state)"
        " select gen_random_uuid(), job_id, story_id, user_id, 'extra', local_date, due_at, send_until, 'pending'"
        " from scheduled_deliveries, generate_series(1, %s) where id = %s",
        2 * DELIVERIES_PAGE,
        old,
    )
    found = matching(world, "state:pending the lamp")
    assert (len(found), len(set(found)), found[0]) == (2 * DELIVERIES_PAGE + 2, len(found), new)


@pytest.mark.parametrize("query", ["", "  ", "state:lost", "state:", "state:missed,"])
def test_what_names_nothing_or_no_state_is_refused(world: World, query: str) -> None:
    with pytest.raises(InputError):
        matching(world, query)
