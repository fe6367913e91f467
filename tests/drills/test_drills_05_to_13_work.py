"""Drills 5 to 13: queues, workers and loops."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import UUID

from rq.suspension import suspend

from fixionmail.jobs.names import story_job_id
from fixionmail.loops.runner import Loop, Report, Runner
from fixionmail.ops.views.findings import Cure, Harm
from tests import commands
from tests.commands import until
from tests.drills.conftest import Deployment


def rung(deployment: Deployment, count: int = 1) -> list[str]:
    """Story jobs that wait in both, since a while."""
    jobs = deployment.world.jobs(count)
    deployment.ring(jobs)
    deployment.world.change("update leases set expires_at = now()")  # whoever planned them has gone
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


def worker(
    deployment: Deployment, home: Path, **settings: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    return loop(deployment, home, "worker", **settings)


def loop(
    deployment: Deployment, home: Path, kind: str, **settings: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    """A process of ours that looks for work every second."""
    assert deployment.settings.database_url is not None
    return commands.running(
        home,
        "run",
        kind,
        REDIS_URL=deployment.redis_url,
        DATABASE_URL=deployment.settings.database_url.get_secret_value(),
        CHECK_INTERVAL_SECONDS="1",
        **settings,
    )


def test_drill_7_a_story_whose_worker_was_killed_is_named_with_its_holder_and_written_by_another_one(
    deployment: Deployment, tmp_path: Path
) -> None:
    (bell,) = rung(deployment)
    job = UUID(bell.removeprefix("story-"))
    with worker(deployment, tmp_path, FIXIONMAIL_FAULT="kill after claim_story_job_v2") as killed:
        assert killed.wait(60) == -signal.SIGKILL
    assert "job-lease-lapsed" not in deployment.findings(), "its lease holds"
    deployment.world.lapse(job)
    finding = deployment.findings()["job-lease-lapsed"]
    assert (finding.drill, finding.subjects) == (7, (str(job),))
    assert f"{job}: {socket.gethostname()}-" in finding.evidence[0]
    assert " held it, attempt 1, step claimed, lapsed " in finding.evidence[0]
    assert finding.cures[0].automatic
    deployment.pass_redis_time(91)
    with worker(deployment, tmp_path), loop(deployment, tmp_path, "delivery"):
        until(lambda: "job-lease-lapsed" not in deployment.findings(), "the tick of the delivery loop")
        with loop(deployment, tmp_path, "scheduler"):
            until(lambda: deployment.world.state("story_jobs", job) == "completed", "the story")
    assert deployment.world.row("story_jobs", job)["attempt"] == 2


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
