"""The doctor examines everything whatever fails, fixes what is safe, and ends with the right code; the watch tells."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fixionmail.ops.doctor import Doctor
from fixionmail.ops.doctor import Report as DoctorsReport
from tests import commands
from tests.commands import Ended, until
from tests.contract.store.world import now
from tests.drills.conftest import Deployment
from tests.drills.stock import StockRq
from tests.drills.test_drills_05_to_13_work import rung


def doctor(deployment: Deployment, *options: str, **settings: str) -> Ended:
    return commands.run(
        deployment.settings.home, "doctor", *options, **{**environment(deployment), **settings}
    )


def environment(deployment: Deployment) -> dict[str, str]:
    assert deployment.settings.database_url is not None
    return {
        "REDIS_URL": deployment.redis_url,
        "DATABASE_URL": deployment.settings.database_url.get_secret_value(),
    }


def kinds(ended: Ended) -> set[str]:
    return {finding["kind"] for finding in ended.json()["findings"]}


def all_well(deployment: Deployment) -> None:
    """Somebody leads both loops, and a worker listens to both queues."""
    for name in ("scheduler", "delivery"):
        deployment.world.store.leases.acquire(
            name=name,
            holder=name,
            ttl_seconds=600,
            info={"mode": "fallback", "mode_since": now().isoformat()},
        )


def test_ends_with_0_where_all_is_well(deployment: Deployment) -> None:
    all_well(deployment)
    ended = doctor(deployment)
    assert (ended.code, ended.out.rstrip().splitlines()[-1], ended.err) == (0, "All is well.", "")


def test_ends_with_1_and_a_hint_for_each_finding(deployment: Deployment) -> None:
    ended = doctor(deployment, "--json")
    assert ended.code == 1
    assert {"no-scheduler", "no-delivery"} <= kinds(ended)
    assert all(finding["cures"] and finding["key"] for finding in ended.json()["findings"])
    assert ended.json()["schema"] == 1


@pytest.fixture
def examined(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DoctorsReport]:
    """Examines in this process, with other settings than the deployment's."""

    def examine(**settings: str) -> DoctorsReport:
        values = {"FIXIONMAIL_HOME": str(deployment.settings.home), **environment(deployment), **settings}
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return Doctor(deployment.settings.home / "none").examine()

    return examine


def found(report: DoctorsReport) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_goes_on_without_redis_and_ends_with_4(examined: Callable[..., DoctorsReport]) -> None:
    report = examined(REDIS_URL="redis://127.0.0.1:1/0")
    assert report.exit_code == 4
    assert {"redis-refused", "no-scheduler"} <= found(report)
    states = {check.name: check.state for check in report.checks}
    assert (states["redis"], states["database"], states["second mails"]) == ("failed", "ok", "ok")


def test_goes_on_with_a_file_of_settings_that_is_no_text_and_ends_with_2(
    deployment: Deployment, examined: Callable[..., DoctorsReport]
) -> None:
    (deployment.settings.home / "none").write_bytes(b"LOG_LEVEL=\xff")
    report = examined()
    assert report.exit_code == 2
    assert {"setting-wrong", "no-scheduler"} <= found(report)


def test_goes_on_with_a_wrong_setting_and_ends_with_2(examined: Callable[..., DoctorsReport]) -> None:
    report = examined(WORKER_CONCURRENCY="many")
    assert report.exit_code == 2
    assert {"setting-wrong", "no-scheduler"} <= found(report)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"DATABASE_URL": "mysql://host/db"}, "DATABASE_URL"),
        ({"DATABASE_URL": "", "SUPABASE_URL": "ftp://host"}, "SUPABASE_URL"),
        ({"DATABASE_URL": "", "SUPABASE_URL": "https://x.supabase.co"}, "SUPABASE_URL"),
    ],
)
def test_takes_no_other_database_for_one_that_is_named_wrongly(
    examined: Callable[..., DoctorsReport], settings: dict[str, str], name: str
) -> None:
    report = examined(**settings)
    checks = {check.name: check for check in report.checks}
    assert report.exit_code == 2
    assert checks["redis"].state == "ok"
    assert checks["database"].state == "skipped"
    assert checks["database"].words == f"not looked at: {name} cannot be used as it is"
    assert "database-unreachable" not in found(report)
    assert "Nothing runs" not in repr(report)


def test_takes_no_other_redis_for_one_that_is_named_wrongly(examined: Callable[..., DoctorsReport]) -> None:
    report = examined(REDIS_URL="redis://host?foo=1")
    checks = {check.name: check for check in report.checks}
    assert report.exit_code == 2
    assert checks["database"].state == "ok"
    assert (checks["redis"].state, checks["redis"].words) == (
        "skipped",
        "not looked at: REDIS_URL cannot be used as it is",
    )
    assert "fallback mode" not in repr(report)


def test_finds_second_mails_of_the_last_days_by_a_full_scan(
    deployment: Deployment, examined: Callable[..., DoctorsReport]
) -> None:
    _, (member,) = deployment.world.sent()
    other, _ = deployment.world.sent()
    deployment.world.change(
        "insert into mail_batch_items (batch_id, pos, delivery_id, live, outcome, provider_id)"
        " values (%s, 9, %s, false, 'accepted', 'second')",
        other,
        member,
    )
    (finding,) = [f for f in examined().findings if f.kind == "accepted-twice"]
    assert finding.evidence == (f"{member}: provider ids id-{member}, second",)


def test_drill_28_finds_entries_of_redis_that_stand_for_nothing(
    deployment: Deployment, examined: Callable[..., DoctorsReport], rq: StockRq
) -> None:
    rq.do(deployment.redis_url, "queue.enqueue(time.sleep, 0, job_id='odd', ttl=60)")
    deployment.pass_redis_time(61)
    (finding,) = [f for f in examined().findings if f.kind == "entry-without-record"]
    assert (finding.drill, finding.subjects) == (28, ("odd",))
    deployment.cure(finding, "repair-redis")
    assert "entry-without-record" not in found(examined())


def test_fixes_what_is_safe_and_examines_again(deployment: Deployment) -> None:
    rung(deployment, 2)
    deployment.redis.flushall()
    assert "queue-flushed" in kinds(doctor(deployment, "--json"))
    assert deployment.redis.dbsize() == 0
    ended = doctor(deployment, "--fix", "--json")
    assert [fixed["action"] for fixed in ended.json()["fixed"]] == ["rering"]
    assert "queue-flushed" not in kinds(ended)
    assert deployment.redis.llen("rq:queue:stories") == 2


def test_repairs_by_command_what_slipped_through(deployment: Deployment) -> None:
    deployment.world.change("drop index one_daily_delivery")
    assert "constraint-missing" in kinds(doctor(deployment, "--json"))
    ended = commands.run(
        deployment.settings.home, "db", "repair", "--yes", "--json", **environment(deployment)
    )
    assert (ended.code, ended.json()["outcomes"]) == (0, {"ok": 1})
    assert "constraint-missing" not in kinds(doctor(deployment, "--json"))


def test_metrics_are_what_prometheus_reads(deployment: Deployment) -> None:
    ended = commands.run(deployment.settings.home, "metrics", **environment(deployment))
    assert ended.code == 0
    assert "# TYPE" in ended.out


@contextmanager
def webhook(failures: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address that takes alerts, after it has refused so many."""
    taken: list[dict[str, Any]] = []
    left = [failures]

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            left[0] -= 1
            if left[0] < 0:
                taken.append(json.loads(body))
            self.send_response(204 if left[0] < 0 else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", taken
        server.shutdown()
        thread.join()


def test_the_watch_tells_of_trouble_once_and_of_its_end_though_the_webhook_fails_at_first(
    deployment: Deployment, tmp_path: Path
) -> None:
    all_well(deployment)
    deployment.world.store.leases.set_switch(name="mail_held", on=True, by="ada", host="h", reason="")
    with (
        webhook(failures=1) as (url, taken),
        commands.running(tmp_path, "watch", "--alert", url, "--every", "1", **environment(deployment)),
    ):
        until(lambda: told_of(taken, "mail-held"), "the first alert")
        deployment.world.store.leases.set_switch(name="mail_held", on=False, by="ada", host="h", reason="")
        until(lambda: len(told_of(taken, "mail-held")) > 1, "the second alert")
    begun, over = told_of(taken, "mail-held")
    assert (begun["event"], over["event"]) == ("begun", "over")
    assert begun["cures"][0]["command"] == "fixionmail db release"


def told_of(taken: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The alerts of one kind: a slow machine gives rise to others, such as of a slow database."""
    return [alert for alert in taken if alert["kind"] == kind]
