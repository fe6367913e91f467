"""What the checks make of a look: conditions that no test machine has, ranks, and words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fixionmail.models.operations import Witness
from fixionmail.ops.checks import Machine, find
from fixionmail.ops.checks.scene import many, span
from fixionmail.ops.views.findings import Finding, Harm
from fixionmail.ops.views.redis import ExecutionView, QueueView, WorkerHealth, WorkerView
from fixionmail.ops.views.section import Section
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.processes.fleet import ProcessLook
from tests.unit.ops.looks import NOW, well


def kinds(snapshot: Snapshot, **more: Any) -> dict[str, Finding]:
    return {finding.kind: finding for finding in find(snapshot, **more)}


def changed(section: str, **values: Any) -> Snapshot:
    seen = well()
    return replace(seen, **{section: Section(value=replace(getattr(seen, section).value, **values))})


def test_nothing_is_found_where_all_is_well() -> None:
    assert find(well()) == ()


class TestClocks:
    @pytest.mark.parametrize(("section", "server"), [("redis", "Redis"), ("database", "Postgres")])
    @pytest.mark.parametrize("skew", [2.5, -2.5])
    def test_drill_21_more_than_two_seconds_apart_are_named(
        self, section: str, server: str, skew: float
    ) -> None:
        finding = kinds(changed(section, clock_skew_seconds=skew))["clock-skew"]
        assert (finding.subjects, finding.drill, finding.evidence) == ((server,), 21, (f"{skew:+.1f} s",))

    def test_nothing_seems_late_because_our_own_clock_is_ahead(self) -> None:
        seen = changed("database", clock_skew_seconds=-90.0)
        assert set(kinds(replace(seen, taken_at=NOW + timedelta(seconds=95)))) == {"clock-skew"}

    def test_two_seconds_are_borne(self) -> None:
        assert find(changed("database", clock_skew_seconds=2.0)) == ()


class TestSubscribers:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("europe/berlin ", "Europe/Berlin"),
            ("Europe/Berln", "Europe/Berlin"),
            ("Tokyo", "Asia/Tokyo"),
            ("Mars/Phobos", "<value>"),
        ],
    )
    def test_drill_22_the_zone_that_was_probably_meant_stands_in_the_command(
        self, given: str, meant: str
    ) -> None:
        witness = Witness(subject="u", detail=f"ada@example.com: {given}", at=None)
        finding = kinds(changed("deliveries", witnesses={"zone": (witness,)}))["zone-unknown"]
        assert finding.cures[0].command == f"fixionmail subscribers change ada@example.com --timezone {meant}"


def test_a_key_of_another_type_is_set_aside_by_a_command_that_bears_any_name() -> None:
    finding = kinds(changed("redis", broken=("rq:queue:my mail",)))["redis-broken-keys"]
    assert [cure.command for cure in finding.cures] == [
        "redis-cli -u \"$REDIS_URL\" RENAMENX 'rq:queue:my mail' 'rq:queue:my mail':set-aside"
    ]


@pytest.mark.parametrize(
    ("missed", "title"), [(1, "1 story of today was missed"), (2, "2 stories of today were missed")]
)
def test_missed_stories_are_counted_in_a_sentence(missed: int, title: str) -> None:
    assert kinds(changed("deliveries", states={"missed": missed}))["delivery-missed"].title == title


@pytest.mark.parametrize(("written", "actions"), [((), ("",)), (("d",), ("retry-delivery", ""))])
def test_missed_stories_are_offered_to_be_sent_as_far_as_they_were_written(
    written: tuple[str, ...], actions: tuple[str, ...]
) -> None:
    witnesses = tuple(Witness(subject=name, detail="too late", at=None) for name in written)
    seen = changed("deliveries", states={"missed": 2}, witnesses={"missed": witnesses})
    assert tuple(cure.action for cure in kinds(seen)["delivery-missed"].cures) == actions


@pytest.mark.parametrize(("mails", "last"), [(1, "resolve-sent"), (2, "resolve-not-sent")])
def test_drill_14_who_knows_what_became_of_a_mail_says_so_by_a_cure(mails: int, last: str) -> None:
    witnesses = tuple(Witness(subject=f"d{n}", detail="no answer", at=None) for n in range(mails))
    seen = changed("deliveries", uncertain=mails, witnesses={"uncertain": witnesses})
    cures = kinds(seen)["delivery-uncertain"].cures
    assert [cure.action for cure in cures[:2]] == ["resolve-delivery", "resolve-not-sent"]
    assert cures[-1].action == last
    assert all(cure.targets == tuple(f"d{n}" for n in range(mails)) for cure in cures)


class TestARedisThatCannotBeUsed:
    def cures(self, error: str, place: str = "127.0.0.1:6379/0", **more: Any) -> list[tuple[str, str]]:
        seen = replace(well(), redis=Section(error=error), target=replace(well().target, redis=place))
        (finding,) = [found for found in find(seen, **more) if found.kind.startswith("redis-")]
        return [(cure.action, cure.command) for cure in finding.cures]

    @pytest.mark.parametrize(
        ("error", "form"),
        [
            ("Redis at x refuses the user or password of its URL.", "redis://"),
            ("x closed the connection. A server with TLS is reached with rediss:// instead of redis://.", "rediss://"),
            ("Redis at x does not answer in time. A server without TLS is reached with redis://.", "redis://"),
        ],
    )  # fmt: skip
    def test_drill_3_for_its_setting_is_cured_by_the_setting_alone_the_right_form_first(
        self, error: str, form: str
    ) -> None:
        cures = self.cures(error)
        assert cures[0] == ("", f"REDIS_URL={form}default:<password>@127.0.0.1:6379/0")
        assert all(not action and command.startswith("REDIS_URL=") for action, command in cures)

    def test_drill_1_on_this_machine_is_started_here_and_elsewhere_waited_for(self) -> None:
        away = "Nothing listens at x: the connection is refused."
        assert self.cures(away) == [("", ""), ("start-redis", "")]
        assert self.cures(away, "redis.example.com:6379/0") == [("", "")]

    def test_drill_2_that_hangs_here_is_restarted(self) -> None:
        redis = ProcessLook(name="redis", kind="redis", state="running")
        silent = "Redis at x does not answer in time."
        assert self.cures(silent, machine=Machine(processes=(redis,)))[1][0] == "restart-process"


class TestADatabaseThatRefuses:
    def refusing(self, error: str) -> str:
        section: Section[Any] = Section(error=error, error_type="DatabaseRefusedError")
        return kinds(replace(well(), database=section))["database-refused"].cures[0].command

    def test_is_reached_by_a_setting_that_is_named_with_its_address(self) -> None:
        error = "Postgres at postgresql://ada:••••••@db:5432/x refuses: wrong password. Check DATABASE_URL."
        assert self.refusing(error) == "DATABASE_URL=postgresql://ada:<password>@db:5432/x"

    def test_over_https_it_is_the_key(self) -> None:
        assert self.refusing("Supabase at https://x.supabase.co refuses.").startswith("SUPABASE_SERVICE_KEY=")


class TestThisMachine:
    def test_drill_25_a_process_that_ends_again_and_again_is_named_with_its_last_words(self) -> None:
        process = ProcessLook(
            name="worker-1", kind="worker", state="crash-looping", restarts=6, last_end="killed by SIGKILL",
            log=("one", "two", "three", "four"),
        )  # fmt: skip
        finding = kinds(well(), machine=Machine(processes=(process,)))["process-crash-looping"]
        assert (finding.drill, finding.subjects) == (25, ("worker-1",))
        assert finding.evidence == ("killed by SIGKILL", "6 restarts", "log: two", "log: three", "log: four")
        assert [cure.command for cure in finding.cures][-1] == "WORKER_CONCURRENCY=<less>"

    @pytest.mark.parametrize(
        ("free", "harm"), [(2**30, None), (300 * 2**20, Harm.RISK), (10 * 2**20, Harm.LATE)]
    )
    def test_drill_27_a_disk_that_fills_is_named_with_what_is_left(
        self, free: int, harm: Harm | None
    ) -> None:
        finding = kinds(well(), machine=Machine(home="/data", free_bytes=free)).get("disk-full")
        assert (finding and finding.harm) == harm
        if finding:
            assert (finding.drill, finding.evidence) == (27, (f"{free // 2**20} MB free",))

    def test_a_check_that_failed_is_told_of(self) -> None:
        found = kinds(well(), machine=Machine(failures={"disk": "no such folder"}))
        assert found["machine-unseen"].cause == "no such folder"


class TestAWorkerOfThisMachine:
    """Whose process is not there any more, although its record in Redis lives on for minutes."""

    HERE = Machine(host="mill", pids=frozenset({8, 9}))

    def seen(self, silent: float = 120.0, *, lease_seconds: float = 40.0, waiting: int = 0) -> Snapshot:
        """Worker 7 on the mill holds a job, and told the database ``silent`` seconds ago that it lives."""
        run = ExecutionView(
            job_id="story-1", queue="stories", function="f", started_at=NOW, elapsed_seconds=9.0, timeout_seconds=900.0,
            lease_until=NOW + timedelta(seconds=lease_seconds),
        )  # fmt: skip
        seen = well()
        worker = replace(seen.workers.value[0], executions=(run,), running=1)
        row = replace(seen.processes.value[0], kind="worker", pid=7, silent_seconds=silent)
        queues = tuple(replace(queue, waiting=waiting) for queue in seen.queues.value)
        return replace(
            seen,
            workers=Section(value=(worker,)),
            processes=Section(value=(*seen.processes.value, row)),
            queues=Section(value=queues),
        )

    def test_drill_7_is_dead_and_others_take_over_when_its_lease_ends(self) -> None:
        finding = kinds(self.seen(), machine=self.HERE)["worker-died"]
        assert finding.cause.endswith("Process 7 does not run here any more.")
        assert finding.cures[0].automatic == "others take its jobs over when their lease ends, in 41 s"
        assert finding.cures[1].action == "start-process"

    def test_its_job_is_queued_again_by_key_once_the_lease_has_ended(self) -> None:
        finding = kinds(self.seen(lease_seconds=-5.0), machine=self.HERE)["worker-died"]
        assert (finding.cures[0].action, finding.cures[0].targets) == ("requeue", ("story-1",))

    def test_its_queue_is_worked_on_by_nobody(self) -> None:
        assert kinds(self.seen(waiting=2), machine=self.HERE)["queue-unserved"].count == 2

    def test_it_lives_while_the_database_hears_from_it(self) -> None:
        assert not kinds(self.seen(silent=20.0, waiting=2), machine=self.HERE)

    def test_of_another_machine_nothing_is_known(self) -> None:
        assert not kinds(self.seen(waiting=2), machine=replace(self.HERE, host="loom"))


class TestVersions:
    def seen(self, pid: int) -> Snapshot:
        """A scheduler of an older version, as process ``pid``."""
        seen = well()
        row = replace(seen.processes.value[0], process="old", version="0.9", pid=pid)
        return replace(seen, processes=Section(value=(*seen.processes.value, row)))

    def test_drill_24_an_old_process_of_this_machine_is_restarted_by_key(self) -> None:
        old = ProcessLook(name="scheduler-2", kind="scheduler", state="running", pid=31)
        (cure,) = kinds(self.seen(31), machine=Machine(processes=(old,), host="mill"))["version-skew"].cures
        assert (cure.action, cure.targets) == ("restart-process", ("scheduler-2",))

    def test_one_that_runs_elsewhere_is_restarted_there(self) -> None:
        (cure,) = kinds(self.seen(31))["version-skew"].cures
        assert (cure.action, cure.command) == ("", "fixionmail processes restart <name>")


class TestQueues:
    def test_one_whose_workers_redis_has_forgotten_is_not_unserved_while_nothing_waits(self) -> None:
        seen = well()
        worker = replace(seen.processes.value[0], kind="worker")
        flushed = replace(seen, queues=Section(value=tuple(replace(q, workers=0) for q in seen.queues.value)))
        assert set(kinds(flushed)) == {"queue-unserved"}
        assert not kinds(replace(flushed, processes=Section(value=(*seen.processes.value, worker))))

    def queue(self, **values: Any) -> Snapshot:
        seen = well()
        queue = QueueView(**{"name": "stories", "waiting": 3, "running": 0, "workers": 1, **values})
        return replace(seen, queues=Section(value=(queue,)))

    def test_one_whose_head_has_not_moved_between_two_looks_stands_still(self) -> None:
        old = NOW - timedelta(minutes=5)
        seen = self.queue(head_id="story-1", oldest_waiting_at=old)
        found = kinds(seen, previous=seen)["queue-stands-still"]
        assert found.cures[1].targets == ("story-1",)
        assert "queue-stands-still" not in kinds(seen)
        moved = self.queue(head_id="story-2", oldest_waiting_at=old)
        assert "queue-stands-still" not in kinds(moved, previous=seen)

    def test_one_of_a_foreign_deployment_is_served_by_rqs_own_command(self) -> None:
        seen = replace(self.queue(name="imports", workers=0), database=Section(absent="No database is set."))
        assert kinds(seen)["queue-unserved"].cures[0].command == "rq worker imports"

    def test_in_fallback_nobody_misses_an_announcement(self) -> None:
        seen = self.queue(waiting=0)
        deliveries = seen.deliveries.value
        mode = seen.mode.value
        assert deliveries
        assert mode
        waiting = replace(deliveries, rung=2, oldest_job_at=NOW - timedelta(minutes=1))
        seen = replace(seen, deliveries=Section(value=waiting))
        assert "queue-flushed" in kinds(seen)
        assert "queue-flushed" not in kinds(replace(seen, mode=Section(value=replace(mode, mode="fallback"))))


def test_fallback_that_lasts_although_redis_answers_is_named() -> None:
    for minutes, kinds_found in ((1, set()), (3, {"fallback"})):
        assert (
            kinds(changed("mode", mode="fallback", since=NOW - timedelta(minutes=minutes))).keys()
            == kinds_found
        )


class TestHeartbeats:
    def worker(self, health: WorkerHealth, running: int = 0) -> Snapshot:
        worker = WorkerView(
            name="w", host="mill", pid=7, state="busy" if running else "idle", health=health, queues=("stories",),
            born_at=NOW, silent_seconds=80.0, running=running,
        )  # fmt: skip
        return replace(well(), workers=Section(value=(worker,)))

    def test_a_worker_that_died_idle_left_nothing_to_mend(self) -> None:
        assert find(self.worker(WorkerHealth.DEAD)) == ()

    def test_one_that_is_quiet_with_work_in_hand_makes_stories_late(self) -> None:
        assert kinds(self.worker(WorkerHealth.QUIET, 2))["worker-quiet"].harm is Harm.LATE
        assert kinds(self.worker(WorkerHealth.QUIET))["worker-quiet"].harm is Harm.RISK

    @pytest.mark.parametrize("health", [WorkerHealth.OK, WorkerHealth.DRAINING, WorkerHealth.SUSPENDED])
    def test_one_that_speaks_is_left_alone(self, health: WorkerHealth) -> None:
        assert find(self.worker(health)) == ()


def test_the_worst_comes_first() -> None:
    seen = changed("deliveries", uncertain=1, states={"missed": 2})
    seen = replace(seen, redis=changed("redis", eviction_policy="volatile-lru").redis)
    harms = [finding.harm for finding in find(seen)]
    assert harms == sorted(harms, reverse=True)
    assert len(set(harms)) > 1


def test_a_section_that_failed_is_named_and_the_others_are_still_checked() -> None:
    seen = changed("deliveries", uncertain=1)
    seen = replace(seen, redis=Section(error="Nothing listens at h:1/0: the connection is refused."))
    assert {"redis-refused", "delivery-uncertain"} <= kinds(seen).keys()


def test_every_finding_has_a_cause_and_says_what_to_do() -> None:
    seen = changed(
        "deliveries", uncertain=3, states={"missed": 2}, due=4, oldest_due_at=NOW - timedelta(hours=1)
    )
    for finding in find(seen):
        assert finding.cause.endswith((".", "…"))
        assert finding.cures, finding.kind
        assert all(cure.action or cure.command or cure.automatic for cure in finding.cures)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_a_span_is_told_in_its_largest_units(seconds: int, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [(1, "story", "1 story"), (2, "story", "2 stories"), (1000, "mail", "1,000 mails"), (0, "key", "0 keys")],
)
def test_a_count_agrees_with_its_noun(count: int, noun: str, words: str) -> None:
    assert many(count, noun) == words
