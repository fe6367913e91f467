"""Drills 1 to 4: Redis is away, hangs, refuses, or may forget what it was told."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from fixionmail.loops.service import hosting
from fixionmail.ops.checks import find
from fixionmail.ops.doctor import Doctor
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Finding, Harm
from fixionmail.processes.redis import embedded_redis
from fixionmail.processes.supervisor import supervising
from fixionmail.settings import Settings
from tests.commands import until
from tests.drills.conftest import Deployment, settings_of
from tests.drills.tls import tls_in_front_of
from tests.standins.supervisor import HURRIED


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def seen(redis_url: str, database_url: str, home: Path) -> dict[str, Finding]:
    with closing(
        Observer(redis_url=redis_url, settings=settings_of(redis_url, database_url, home))
    ) as observer:
        return {finding.kind: finding for finding in find(observer.look())}


class TestDrill1:
    def test_redis_that_does_not_run_is_named_with_its_address(
        self, database_url: str, tmp_path: Path
    ) -> None:
        port = free_port()
        finding = seen(f"redis://127.0.0.1:{port}/0", database_url, tmp_path)["redis-refused"]
        assert finding.cause == f"Nothing listens at 127.0.0.1:{port}/0: the connection is refused."
        assert (finding.drill, finding.harm) == (1, Harm.LATE)
        assert [cure.action for cure in finding.cures] == ["", "start-redis"]

    @pytest.mark.slow
    def test_fallback_takes_over_until_the_cure_starts_one_there_and_the_loops_come_back_by_themselves(
        self, deployment: Deployment, tmp_path: Path
    ) -> None:
        away = reached_by(deployment, f"redis://127.0.0.1:{free_port()}/0", tmp_path)
        with supervising(tmp_path, HURRIED), hosting(away.settings):
            until(lambda: mode_of(away) == "fallback", "the fallback")
            finding = away.findings()["redis-refused"]
            assert finding.cause.endswith("Fallback took over: the loops do the work themselves.")
            assert finding.harm is Harm.RISK
            assert re.fullmatch(r"fallback since \d\d:\d\d:\d\d UTC", finding.evidence[0])
            (said,) = away.cure(finding, "start-redis")
            assert "It is where REDIS_URL says" in said
            until(lambda: mode_of(away) == "queue", "queue mode")
            assert "redis-refused" not in away.findings()


def reached_by(deployment: Deployment, redis_url: str, home: Path) -> Deployment:
    """The same deployment with another Redis, looked after every second."""
    assert deployment.settings.database_url is not None
    settings = Settings.model_validate(
        {
            "redis_url": redis_url,
            "database_url": deployment.settings.database_url.get_secret_value(),
            "fixionmail_home": home,
            "check_interval_seconds": 1,
        }
    )
    return Deployment(settings=settings, world=deployment.world, redis=deployment.redis)


def mode_of(deployment: Deployment) -> str:
    mode = deployment.look().mode.value
    return mode.mode if mode else ""


class TestDrill2:
    @pytest.mark.slow
    def test_the_loops_say_why_they_do_the_work_themselves(
        self, deployment: Deployment, tmp_path: Path
    ) -> None:
        port = free_port()
        away = reached_by(deployment, f"redis://127.0.0.1:{port}/0", tmp_path)
        with hosting(away.settings):
            until(lambda: mode_of(away) == "fallback", "the fallback")
            mode = away.look().mode.value
        assert mode is not None
        assert "Connection refused" in mode.reason
        assert str(port) in mode.reason
        assert mode.since is not None

    def test_loops_that_were_told_to_do_the_work_themselves_say_so(
        self, deployment: Deployment, tmp_path: Path
    ) -> None:
        settings = deployment.settings.model_copy(update={"enable_redis_queue": False})
        with hosting(settings):
            until(lambda: mode_of(deployment) == "fallback", "the fallback")
            mode = deployment.look().mode.value
        assert mode is not None
        assert mode.reason == "ENABLE_REDIS_QUEUE is false"

    @pytest.mark.slow
    def test_redis_that_hung_is_used_again_by_the_loops_without_anybody(
        self, deployment: Deployment, tmp_path: Path
    ) -> None:
        with embedded_redis(tmp_path / "its home") as url:
            own = reached_by(deployment, url, tmp_path)
            with Redis.from_url(url) as client:
                server = int(client.info()["process_id"])
            with hosting(own.settings):
                os.kill(server, signal.SIGSTOP)
                try:
                    until(lambda: mode_of(own) == "fallback", "the fallback")
                finally:
                    os.kill(server, signal.SIGCONT)
                until(lambda: mode_of(own) == "queue", "queue mode again")
                assert not {"redis-silent", "fallback"} & own.findings().keys()

    @pytest.mark.slow
    def test_redis_that_hangs_is_told_from_one_that_is_away(self, database_url: str, tmp_path: Path) -> None:
        with embedded_redis(tmp_path / "its home") as url:
            with Redis.from_url(url) as client:
                server = int(client.info()["process_id"])
            os.kill(server, signal.SIGSTOP)
            try:
                assert "does not answer in time" in seen(url, database_url, tmp_path)["redis-silent"].cause
            finally:
                os.kill(server, signal.SIGCONT)
            assert "redis-silent" not in seen(url, database_url, tmp_path)

    def test_redis_that_only_copies_another_is_named(
        self, deployment: Deployment, configured: Callable[..., None]
    ) -> None:
        configured(replica_serve_stale_data="yes")
        deployment.redis.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        try:
            finding = deployment.findings()["redis-read-only"]
        finally:
            deployment.redis.execute_command("REPLICAOF", "NO", "ONE")
        assert (finding.drill, finding.harm) == (2, Harm.LATE)
        assert "redis-read-only" not in deployment.findings()

    def test_redis_without_memory_left_is_named_with_its_numbers(
        self, deployment: Deployment, configured: Callable[..., None]
    ) -> None:
        configured(maxmemory="1mb")
        finding = deployment.findings()["redis-full"]
        assert finding.title == "Redis is full"
        assert finding.evidence[0].endswith("MB used of 1.0 MB")
        configured(maxmemory="0")
        assert "redis-full" not in deployment.findings()


class TestDrill3:
    def test_a_wrong_password_is_named_and_never_shown(
        self, redis_url: str, database_url: str, tmp_path: Path
    ) -> None:
        place = redis_url.rpartition("@")[2].removeprefix("redis://")
        for login in ("", ":wr0ng-secret@"):
            found = seen(f"redis://{login}{place}", database_url, tmp_path)
            assert "wr0ng-secret" not in repr(found)
            assert (
                found["redis-password"].cures[0].command.startswith("REDIS_URL=redis://default:<password>@")
            )

    @pytest.mark.slow
    def test_tls_to_a_port_without_it_is_named_with_the_right_form(
        self, redis_url: str, database_url: str, tmp_path: Path
    ) -> None:
        finding = seen(redis_url.replace("redis://", "rediss://"), database_url, tmp_path)["redis-silent"]
        assert finding.cause.endswith("A server without TLS is reached with redis://.")

    def test_no_tls_to_a_port_that_wants_it_is_named_with_the_right_form(
        self, redis_url: str, database_url: str, tmp_path: Path
    ) -> None:
        with tls_in_front_of(redis_url, tmp_path) as (port, certificate):
            finding = seen(f"redis://127.0.0.1:{port}/0", database_url, tmp_path)["redis-tls"]
            right = f"rediss://default:<password>@127.0.0.1:{port}/0"
            assert finding.cures[0].command == f"REDIS_URL={right}"
            password = str(urlsplit(redis_url).password)
            right = f"{right.replace('<password>', password)}?ssl_ca_certs={certificate}"
            assert not {kind for kind in seen(right, database_url, tmp_path) if kind.startswith("redis-")}

    def test_a_web_server_at_that_address_is_named_with_the_setting_to_correct_and_nothing_else(
        self, monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path
    ) -> None:
        with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            monkeypatch.setenv("REDIS_URL", f"redis://:s3cret@127.0.0.1:{server.server_port}/0")
            monkeypatch.setenv("DATABASE_URL", database_url)
            monkeypatch.setenv("FIXIONMAIL_HOME", str(tmp_path))
            report = Doctor(tmp_path / "none").examine()
            server.shutdown()
        finding = next(finding for finding in report.findings if finding.kind == "redis-stranger")
        assert (finding.drill, finding.title) == (
            3,
            f"Another kind of server answers at {finding.subjects[0]}",
        )
        assert [(cure.label, cure.action, cure.automatic) for cure in finding.cures] == [
            ("correct REDIS_URL, here and where processes run", "", "")
        ]
        assert finding.cures[0].command == "REDIS_URL=redis://default:<password>@<host>:<port>/0"
        assert report.exit_code == 4
        assert "s3cret" not in repr(report)

    @pytest.mark.parametrize("scheme", ["redis", "rediss"])
    def test_a_postgres_at_that_address_which_only_hangs_up_is_named_with_both_settings_it_may_be(
        self, database_url: str, tmp_path: Path, scheme: str
    ) -> None:
        place = f"127.0.0.1:{urlsplit(database_url).port}/0"
        finding = seen(f"{scheme}://{place}", database_url, tmp_path)["redis-tls"]
        other = "redis" if scheme == "rediss" else "rediss"
        assert [cure.command for cure in finding.cures] == [
            f"REDIS_URL={other}://default:<password>@{place}",
            "REDIS_URL=redis://default:<password>@<host>:<port>/0",
        ]
        assert not any(cure.automatic or cure.action for cure in finding.cures)

    def test_a_user_who_may_run_no_scripts_is_named_with_the_command_that_lets_it(
        self, deployment: Deployment, database_url: str, tmp_path: Path
    ) -> None:
        url = f"redis://drill:s3cret@{deployment.redis_url.rpartition('//')[2].rpartition('@')[2]}"
        deployment.redis.execute_command(
            "ACL", "SETUSER", "drill", "on", ">s3cret", "~*", "&*", "+@all", "-@scripting"
        )
        try:
            finding = seen(url, database_url, tmp_path)["redis-forbidden"]
            assert "does not permit" in finding.cause
            program, *words = shlex.split(finding.cures[0].command.replace("<user>", "drill"))
            assert program == "redis-cli"
            deployment.redis.execute_command(*words)
            assert "redis-forbidden" not in seen(url, database_url, tmp_path)
        finally:
            deployment.redis.execute_command("ACL", "DELUSER", "drill")

    def test_an_address_that_is_none_is_named_by_the_doctor_and_the_others_are_examined_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("REDIS_URL", "http://:s3cret@host:1")
        monkeypatch.setenv("DATABASE_URL", database_url)
        monkeypatch.setenv("FIXIONMAIL_HOME", str(tmp_path))
        report = Doctor(tmp_path / "none").examine()
        finding = next(finding for finding in report.findings if finding.kind == "setting-wrong")
        assert (finding.subjects, finding.drill) == (("REDIS_URL",), 3)
        assert "s3cret" not in repr(report)
        assert {check.name: check.state for check in report.checks}["database"] == "ok"
        assert report.exit_code == 2


def test_drill_4_a_policy_that_can_drop_queue_keys_is_named_and_set_right(
    deployment: Deployment, configured: Callable[..., None]
) -> None:
    configured(maxmemory_policy="allkeys-lru")
    finding = deployment.findings()["eviction-policy"]
    assert (finding.drill, finding.subjects) == (4, ("allkeys-lru",))
    assert finding.cures[0].command == 'redis-cli -u "$REDIS_URL" CONFIG SET maxmemory-policy noeviction'
    assert deployment.cure(finding, "repair-redis") == {"done": 1}
    assert "eviction-policy" not in deployment.findings()
