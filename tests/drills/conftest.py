"""A deployment in which the drills cause every incident for real, look at it, and run the cure that is offered."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from redis import Redis

from fixionmail.jobs.dispatch import QueueDispatcher
from fixionmail.ops import actions
from fixionmail.ops.checks import Machine, find
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Cure, Finding
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.settings import Settings
from fixionmail.store import Store
from fixionmail.subscribers.service import Operator
from tests.contract.store.world import World
from tests.drills.stock import StockRq
from tests.faults import deployment as processes_of

_MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
OPERATOR = Operator(name="drill", host="here")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Settings, and what is behind them."""

    settings: Settings
    world: World
    redis: Redis

    @property
    def redis_url(self) -> str:
        assert self.settings.redis_url is not None
        return self.settings.redis_url.get_secret_value()

    def look(self) -> Snapshot:
        """What an operator sees."""
        with closing(Observer(redis_url=self.redis_url, settings=self.settings)) as observer:
            return observer.look()

    def findings(self, machine: Machine | None = None) -> dict[str, Finding]:
        """What is wrong, by kind."""
        return {finding.kind: finding for finding in find(self.look(), machine=machine)}

    def ring(self, jobs: Sequence[UUID]) -> None:
        """Ring for story jobs, as the scheduler does."""
        bell = QueueDispatcher(self.redis_url, story_timeout=900, mail_timeout=120)
        bell.ring_stories(jobs)
        bell.close()

    def pass_redis_time(self, seconds: float) -> None:
        """Let so much time go by for all that is in Redis: leases, signs of life, and what expires."""
        for key in list(self.redis.scan_iter()):
            left = self.redis.pttl(key)
            if key.startswith((b"rq:wip:", b"rq:executions:")):
                for member in self.redis.zrange(key, 0, -1):
                    self.redis.zincrby(key, -seconds, member)
            elif key.startswith((b"rq:job:", b"rq:worker:")) and self.redis.type(key) == b"hash":
                for field, value in self.redis.hgetall(key).items():
                    if _MOMENT.fullmatch(value):
                        at = datetime.fromisoformat(value.decode()) - timedelta(seconds=seconds)
                        self.redis.hset(key, field, at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
            if left > 0:
                self.redis.pexpire(key, left - round(seconds * 1000))  # of none left, it is gone at once

    def cure(self, finding: Finding, action: str) -> dict[str, int]:
        """Run the cure of that name that the finding offers; the outcomes, counted."""
        chosen = next(cure for cure in finding.cures if cure.action == action)
        return self.run(chosen)

    def run(self, cure: Cure) -> dict[str, int]:
        """Preview and run a cure, as the console does."""
        hands = actions.Hands(
            redis_url=self.redis_url, store=lambda: self.world.store, settings=self.settings
        )
        try:
            previewed = actions.preview(hands, cure.action, cure.targets)
            order = actions.Order(operator=OPERATOR, reason="a drill")
            *_, last = actions.run(hands, previewed, order)
        finally:
            hands.close()
        return dict(last.outcomes)


@pytest.fixture
def deployment(
    database_url: str, direct_store: Store, redis_url: str, tmp_path: Path
) -> Iterator[Deployment]:
    """A deployment with nothing in it, in which all is well but that nothing runs."""
    settings = settings_of(redis_url, database_url, tmp_path)
    with psycopg.connect(database_url, autocommit=True) as connection, Redis.from_url(redis_url) as redis:
        yield Deployment(settings=settings, world=World(direct_store, connection), redis=redis)


def settings_of(redis_url: str | None, database_url: str | None, home: Path) -> Settings:
    """Settings of nobody's environment."""
    return Settings.model_validate(
        {"redis_url": redis_url, "database_url": database_url, "fixionmail_home": home}
    )


@pytest.fixture
def configured(redis_url: str) -> Iterator[Callable[..., None]]:
    """Changes the server's configuration for the length of a test."""
    with Redis.from_url(redis_url) as client:
        before: dict[str, Any] = {}

        def change(**wanted: str) -> None:
            for name, value in wanted.items():
                key = name.replace("_", "-")
                before.setdefault(key, client.config_get(key)[key])
                client.config_set(key, value)

        yield change
        for name, value in before.items():
            client.config_set(name, value)


_RQ_2 = os.environ.get("RQ_2_FOLDER")


@pytest.fixture(params=["rq 3", *(["rq 2"] if _RQ_2 else [])])
def rq(request: pytest.FixtureRequest) -> StockRq:
    """RQ 3, and RQ 2 where RQ_2_FOLDER says where: pip install --no-deps --target $RQ_2_FOLDER rq==2.12.0."""
    return StockRq(folder=_RQ_2 or "" if request.param == "rq 2" else "")


@pytest.fixture
def processes(database_url: str, tmp_path: Path) -> Iterator[processes_of.Deployment]:
    """Our processes on the deployment's database, without Redis, and a provider that counts mails."""
    with processes_of.deployment(tmp_path / "processes", database_url) as made:
        yield made


@pytest.fixture
def operated(deployment: Deployment, processes: processes_of.Deployment) -> Deployment:
    """The deployment as an operator has it who shares the settings of these processes."""
    return operated_with(deployment, processes)


def operated_with(deployment: Deployment, processes: processes_of.Deployment) -> Deployment:
    """The same with the settings of those processes, and their database."""
    values = {name.lower(): value for name, value in processes.settings.items()}
    settings = Settings.model_validate(
        {**values, "redis_url": deployment.redis_url, "fixionmail_home": processes.home}
    )
    return replace(deployment, settings=settings, world=processes.world)
