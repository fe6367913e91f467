"""What the operator marked as all that match: found anew in the deployment, and nothing else is meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from console.changes import Changes
from fixionmail.ops.actions import Hands
from fixionmail.ops.snapshot import Observer
from fixionmail.processes.fleet import Fleet
from fixionmail.settings import Settings
from fixionmail.store import Store
from tests.contract.store.world import World


@dataclass
class Deployment:
    """A database, and what the console changes in it."""

    world: World
    changes: Changes


@pytest.fixture
def deployment(database_url: str, direct_store: Store, tmp_path: Path) -> Iterator[Deployment]:
    settings = Settings.model_validate(
        {"redis_url": None, "database_url": database_url, "fixionmail_home": tmp_path}
    )
    hands = Hands(redis_url=None, store=lambda: direct_store, settings=settings)
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        closing(Observer(redis_url=None, settings=settings)) as observer,
        closing(Changes(hands, observer, Fleet(tmp_path))) as changes,
    ):
        yield Deployment(world=World(direct_store, connection), changes=changes)


def test_all_deliveries_of_a_state_are_meant(deployment: Deployment) -> None:
    first, second, missed = deployment.world.deliveries(3)
    deployment.world.change("update scheduled_deliveries set state = 'missed' where id = %s", missed)
    previewed = deployment.changes.preview("cancel-delivery", ("query:state:pending",))
    assert set(previewed.seen) == {str(first), str(second)}


def test_and_their_subscribers_are_suppressed_each_once(deployment: Deployment) -> None:
    deployment.world.deliveries(2)
    previewed = deployment.changes.preview("suppress", ("query:state:pending",))
    assert set(previewed.seen) == {str(user) for user in deployment.world.column("select id from users")}
