"""Drill 9: a worker of RQ's takes a job off its queue and is killed before it starts it; nobody would run it again."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from fixionmail.ops.views.findings import Harm
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.drills.stock import BEFORE_THE_START, StockRq, taken_and_lost
from tests.drills.test_drills_05_to_13_work import rung, worker


@pytest.mark.parametrize(
    ("before", "seconds", "cure"),
    [
        pytest.param(b"", 61, "rering", id="when it has it"),
        pytest.param(BEFORE_THE_START, 91, "rering", id="when it has taken its lease, of 90 seconds"),
        pytest.param(
            BEFORE_THE_START, 91, "repair-redis", id="then too, by the other cure", marks=pytest.mark.slow
        ),
    ],
)
def test_the_job_is_named_as_lost_and_back_in_its_queue_by_either_cure(
    deployment: Deployment, rq: StockRq, before: bytes, seconds: int, cure: str
) -> None:
    (bell,) = rung(deployment)
    taken_and_lost(deployment.redis_url, "stories", rq=rq, before=before)
    assert deployment.redis.llen("rq:queue:stories") == 0
    deployment.pass_redis_time(seconds - 30)
    assert "job-lost" not in deployment.findings()
    deployment.pass_redis_time(30)
    finding = deployment.findings()["job-lost"]
    assert (finding.drill, finding.harm, finding.count) == (9, Harm.LOST, 1)
    assert sum(deployment.cure(finding, cure).values()) == 1
    assert deployment.redis.lrange("rq:queue:stories", 0, -1) == [bell.encode()]
    assert deployment.redis.llen("rq:queue:stories:intermediate") == 0
    deployment.pass_redis_time(91)
    assert not {"job-lost", "job-lease-lapsed"} & deployment.findings().keys()


def test_one_that_a_worker_on_several_queues_took_is_missed_against_the_database_and_rung_again(
    deployment: Deployment, rq: StockRq, tmp_path: Path
) -> None:
    (bell,) = rung(deployment)
    taken_and_lost(deployment.redis_url, "stories", "emails", rq=rq)
    assert (deployment.redis.llen("rq:queue:stories"), deployment.redis.keys("*:intermediate")) == (0, [])
    finding = deployment.findings()["queue-flushed"]
    assert (finding.harm, finding.count) == (Harm.LATE, 1)
    assert "took them off the queue and died" in finding.cause
    assert deployment.cure(finding, "rering") == {"done": 1}
    with worker(deployment, tmp_path):
        job = UUID(bell.removeprefix("story-"))
        until(lambda: deployment.world.state("story_jobs", job) == "completed", "the story")
    assert not {"queue-flushed", "job-lost"} & deployment.findings().keys()
