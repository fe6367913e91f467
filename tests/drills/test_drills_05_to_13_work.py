"""Drills 5 to 13: queues, workers and loops."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rq.suspension import suspend

from fixionmail.jobs.names import story_job_id
from fixionmail.loops.runner import Loop, Report, Runner
from fixionmail.ops.views.findings import Cure, Harm
from tests import commands
from tests.drills.conftest import Deployment


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, f"{what} did not come about"
        time.sleep(0.05)


def rung(deployment: Deployment, count: int = 1) -> list[str]:
    """Story jobs that wait in both, since a while."""
    jobs = deployment.world.jobs(count)
    deployment.ring(jobs)
    deployment.world.change(
        "update story_jobs set created_at = created_at - interval '5 minutes', local_date = current_date"
    )
    return [story_job_id(job) for job in jobs]


def test_drill_5_a_flushed_queue_is_seen_against_the_database_and_rung_again(deployment: Deployment) -> None:
    rung(deployment, 3)
    assert "queue-flushed" not in deployment.findings()
    deployment.redis.flushall()
    finding = deployment.findings()["queue-flushed"]
    assert (finding.drill, finding.count, finding.harm) == (5, 3, Harm.LATE)
    assert finding.evidence[0] == "Postgres: 3 announced; Redis: 0 in queue stories"
    deployment.cure(finding, "rering")
    assert deployment.redis.llen("rq:queue:stories") == 3
    assert "queue-flushed" not in deployment.findings()


def test_drill_6_a_queue_without_a_worker_is_named_until_one_has_started(
    deployment: Deployment, tmp_path: Path
) -> None:
    rung(deployment, 2)
    finding = deployment.findings()["queue-unserved"]
    assert (finding.drill, finding.subjects, finding.count) == (6, ("stories",), 2)
    assert finding.cures[0].action == "start-process"
    with worker(deployment, tmp_path):
        until(lambda: "queue-unserved" not in deployment.findings(), "a worker")


def worker(deployment: Deployment, home: Path, **settings: str) -> AbstractContextManager[object]:
    assert deployment.settings.database_url is not None
    return commands.running(
        home,
        "run",
        "worker",
        REDIS_URL=deployment.redis_url,
        DATABASE_URL=deployment.settings.database_url.get_secret_value(),
        **settings,
    )


class TestDrill7:
    def test_a_claim_that_nobody_renews_is_named_with_its_holder_and_taken_back(
        self, deployment: Deployment
    ) -> None:
        world = deployment.world
        job = world.job()
        world.claimed(job, "worker@mill:77:abc")
        world.lapse(job)
        finding = deployment.findings()["job-lease-lapsed"]
        assert (finding.drill, finding.subjects) == (7, (str(job),))
        assert "worker@mill:77:abc held it, attempt 1, step claimed, lapsed" in finding.evidence[0]
        assert finding.cures[0].automatic
        world.tick()
        assert "job-lease-lapsed" not in deployment.findings()
        assert world.state("story_jobs", job) == "pending"


class TestDrill11:
    def test_no_scheduler_is_named_with_the_subscribers_who_wait(self, deployment: Deployment) -> None:
        deployment.world.subscribe(4)
        finding = deployment.findings()["no-scheduler"]
        assert (finding.drill, finding.harm, finding.count) == (11, Harm.LATE, 4)
        assert finding.evidence == ("last tick at an unknown time", "4 stories waiting")
        assert ("start-process", ("scheduler",)) in [(cure.action, cure.targets) for cure in finding.cures]

    def test_no_delivery_loop_is_named_with_the_mail_that_waits(self, deployment: Deployment) -> None:
        deployment.world.deliveries(2)
        finding = deployment.findings()["no-delivery"]
        assert (finding.drill, finding.count) == (11, 2)

    def test_whoever_starts_one_cures_it(self, deployment: Deployment) -> None:
        with ticking(deployment, "scheduler"):
            until(lambda: "no-scheduler" not in deployment.findings(), "a scheduler")

    def test_a_leader_that_hangs_in_its_tick_is_named(self, deployment: Deployment) -> None:
        info = {
            "next_tick_at": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
            "pid": 7,
            "host": "mill",
        }
        deployment.world.store.leases.acquire(name="delivery", holder="d", ttl_seconds=30, info=info)
        finding = deployment.findings()["loop-stalled"]
        assert finding.evidence[0] == "d, pid 7 on mill"
        assert finding.cures[0].action == "restart-process"


class ticking:
    """A copy of a loop that has nothing to do."""

    def __init__(self, deployment: Deployment, name: str) -> None:
        loop = Loop(name=name, interval_seconds=60, tick=lambda fence, now: Report())
        self.runner = Runner(deployment.world.store, loop)

    def __enter__(self) -> Runner:
        self.runner.start()
        return self.runner

    def __exit__(self, *_: object) -> None:
        self.runner.stop()


def test_drill_12_a_second_copy_of_a_loop_is_shown_as_standing_by_until_it_is_stopped(
    deployment: Deployment,
) -> None:
    with ticking(deployment, "scheduler") as first:
        until(lambda: "no-scheduler" not in deployment.findings(), "the first")
        with ticking(deployment, "scheduler") as second:
            until(lambda: "loop-standby" in deployment.findings(), "the second")
            finding = deployment.findings()["loop-standby"]
            assert (finding.drill, finding.harm) == (12, Harm.NOTE)
            assert finding.evidence == (f"leads: {first.process}", f"stands by: {second.process}")
        assert "loop-standby" not in deployment.findings()


class TestDrill13:
    def test_a_paused_scheduler_is_named_with_who_did_it_and_resumed(self, deployment: Deployment) -> None:
        deployment.run(Cure(label="", action="pause-scheduler"))
        finding = deployment.findings()["scheduler-paused"]
        assert finding.cause == "drill turned the switch scheduler_paused on: a drill."
        assert finding.drill == 13
        deployment.cure(finding, "resume-scheduler")
        assert "scheduler-paused" not in deployment.findings()

    def test_held_mail_is_named_with_who_did_it_and_released(self, deployment: Deployment) -> None:
        deployment.run(Cure(label="", action="hold-mail"))
        finding = deployment.findings()["mail-held"]
        assert finding.cause == "drill turned the switch mail_held on: a drill."
        deployment.cure(finding, "release-hold")
        assert "mail-held" not in deployment.findings()

    def test_suspended_workers_are_named_and_resumed(self, deployment: Deployment) -> None:
        suspend(deployment.redis)
        finding = deployment.findings()["workers-suspended"]
        assert finding.drill == 13
        deployment.cure(finding, "resume-workers")
        assert "workers-suspended" not in deployment.findings()

    def test_a_paused_queue_is_named_with_the_reason_and_resumed(self, deployment: Deployment) -> None:
        deployment.run(Cure(label="", action="pause-queue", targets=("stories",)))
        finding = deployment.findings()["queue-paused"]
        assert finding.cause == "drill paused it: a drill."
        deployment.cure(finding, "resume-queue")
        assert "queue-paused" not in deployment.findings()
