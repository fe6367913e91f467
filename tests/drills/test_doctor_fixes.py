"""The doctor uses each cure that is safe unasked, leaves the others to people, and goes on after one that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fixionmail.jobs.worker import enqueue_many
from fixionmail.models.mail import Outcome
from fixionmail.ops import actions
from fixionmail.ops import doctor as examination
from fixionmail.ops.doctor import Doctor, Fixed
from fixionmail.ops.views.findings import Cure, Finding
from fixionmail.settings import load_settings
from tests.commands import until
from tests.drills.conftest import OPERATOR, Deployment
from tests.drills.stock import taken_and_lost
from tests.drills.test_doctor_and_watch import doctor, environment, kinds
from tests.drills.test_drills_05_to_13_work import rung
from tests.integration.worker.jobs import lines, new, status
from tests.integration.worker.workers import Workers

ORDER = actions.Order(operator=OPERATOR, reason="fixionmail doctor --fix")
Fix = Callable[..., tuple[Fixed, ...]]


@pytest.fixture
def fix(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Fix:
    """Examines and fixes in this process, with other settings than the deployment's."""

    def fixed(**settings: str) -> tuple[Fixed, ...]:
        home = deployment.settings.home
        for name, value in {**environment(deployment), "FIXIONMAIL_HOME": str(home), **settings}.items():
            monkeypatch.setenv(name, value)
        nowhere = home / "none"
        return examination.fix(Doctor(nowhere).examine(), load_settings(nowhere), ORDER)

    return fixed


@pytest.fixture
def ours(deployment: Deployment, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(deployment.redis_url, tmp_path)
    yield running
    running.close()


def held_by_a_dead_worker(deployment: Deployment, ours: Workers, folder: Path) -> None:
    """A job of ours is in the hands of a worker that was killed."""
    call = new("held", "careless", str(folder / "notes"), str(folder / "gate"))
    enqueue_many(deployment.redis, "stories", [call])
    process = ours.spawn(concurrency=1)
    until(lambda: lines(folder / "notes") == ["begun"], "the start")
    process.kill()
    process.wait()


def lost_before_the_start(deployment: Deployment) -> str:
    (bell,) = rung(deployment)
    taken_and_lost(deployment.redis_url, "stories")
    return bell


def by_kind(fixed: tuple[Fixed, ...]) -> dict[str, Fixed]:
    return {each.finding.kind: each for each in fixed}


@pytest.fixture
def stories_only(deployment: Deployment) -> Iterator[str]:
    """The URL of a Redis user who may read everything and write for stories only: who cannot ring for mail."""
    registries = (
        "failed",
        "finished",
        "deferred",
        "ready",
        "scheduled",
        "canceled",
        "wip",
        "worker",
        "executions",
    )
    keys = ("rq:queues", "rq:queue:stories*", "rq:job:story-*", "rq:job:held", "rq:execution:*", "fm:*")
    writes = (f"~{key}" for key in (*keys, *(f"rq:{name}:*" for name in registries)))
    deployment.redis.execute_command(
        "ACL", "SETUSER", "fixer", "on", ">s3cret", "+@all", "allchannels", "%R~*", *writes
    )
    parts = urlsplit(deployment.redis_url)
    yield parts._replace(netloc=f"fixer:s3cret@{parts.hostname}:{parts.port}").geturl()
    deployment.redis.execute_command("ACL", "DELUSER", "fixer")


def test_rings_for_a_job_that_was_lost_before_its_start_which_is_lost_no_more(
    deployment: Deployment, fix: Fix
) -> None:
    bell = lost_before_the_start(deployment)
    deployment.pass_redis_time(61)
    assert by_kind(fix())["job-lost"].outcomes == {"done": 1}
    assert deployment.redis.lrange("rq:queue:stories", 0, -1) == [bell.encode()]
    assert deployment.redis.llen("rq:queue:stories:intermediate") == 0
    deployment.pass_redis_time(61)
    assert "job-lost" not in deployment.findings()


def test_rings_for_mail_that_is_late(deployment: Deployment, fix: Fix) -> None:
    deployment.world.deliveries(2)
    assert by_kind(fix())["mail-late"].outcomes == {"done": 1}
    (bell,) = deployment.redis.lrange("rq:queue:emails", 0, -1)
    assert bell.startswith(b"mail-")


def test_queues_again_what_a_dead_worker_of_ours_held(
    deployment: Deployment, fix: Fix, ours: Workers, tmp_path: Path
) -> None:
    held_by_a_dead_worker(deployment, ours, tmp_path)
    assert by_kind(fix()) == {}, "its lease holds"
    deployment.pass_redis_time(100)
    assert by_kind(fix())["worker-died"].outcomes == {"done": 1}
    assert status(deployment.redis, "held") == "queued"
    assert by_kind(fix()) == {}


def test_goes_on_after_a_fix_that_fails_and_says_why(
    deployment: Deployment, fix: Fix, ours: Workers, tmp_path: Path, stories_only: str
) -> None:
    held_by_a_dead_worker(deployment, ours, tmp_path)
    lost_before_the_start(deployment)
    deployment.pass_redis_time(100)
    lost, held = fix(REDIS_URL=stories_only)
    assert (lost.finding.kind, lost.outcomes) == ("job-lost", {})
    assert "No permissions" in lost.error
    assert "s3cret" not in lost.error
    assert (held.finding.kind, held.outcomes, held.error) == ("worker-died", {"done": 1}, "")
    assert status(deployment.redis, "held") == "queued"


def test_leaves_to_people_what_could_lose_something_mail_twice_or_undo_what_somebody_did(
    deployment: Deployment, configured: Callable[..., None]
) -> None:
    world = deployment.world
    batch, token, _ = world.sending()
    world.settle(batch, token, Outcome.KEY_CONFLICT, error="another body")
    world.change("drop index one_daily_delivery")
    configured(maxmemory_policy="allkeys-lru")
    for action in ("hold-mail", "pause-scheduler", "suspend-workers"):
        deployment.run(Cure(label="", action=action))
    deployment.run(Cure(label="", action="pause-queue", targets=("stories",)))
    before = (
        deployment.redis.dbsize(),
        world.column("select state from scheduled_deliveries"),
        len(world.audit()),
    )

    ended = doctor(deployment, "--fix", "--json")

    assert {
        *("delivery-uncertain", "constraint-missing", "eviction-policy", "mail-held", "scheduler-paused"),
        *("workers-suspended", "queue-paused"),
    } <= kinds(ended)
    assert (ended.code, ended.json()["fixed"]) == (1, [])
    after = (
        deployment.redis.dbsize(),
        world.column("select state from scheduled_deliveries"),
        len(world.audit()),
    )
    assert after == before


def test_what_is_safe_unasked_is_ringing_and_queueing_again_what_the_database_guards(
    deployment: Deployment, ours: Workers, tmp_path: Path
) -> None:
    held_by_a_dead_worker(deployment, ours, tmp_path)
    lost_before_the_start(deployment)
    deployment.world.deliveries(1)
    deployment.pass_redis_time(100)
    seen: list[Finding] = list(deployment.findings().values())
    safe = {(finding.kind, cure.action) for finding in seen for cure in finding.cures if cure.safe}
    assert safe == {("worker-quiet", "requeue"), ("job-lost", "rering"), ("mail-late", "rering")}
