"""Drill 21: the clock of Redis, of Postgres, or of this machine is off, each in a process that really reads it so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fixionmail.ops.checks import find
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Finding, Harm
from fixionmail.store import migrations
from fixionmail.store.embedded import embedded_postgres, postgres_bin
from tests import commands
from tests.drills.conftest import Deployment, settings_of
from tests.drills.test_doctor_and_watch import environment
from tests.integration.worker.servers import RedisServer

AHEAD_SECONDS = 90
SOURCE = Path(__file__).parents[1] / "standins" / "clock.c"
OFF_BY_HOURS = Path(__file__).parents[1] / "faults" / "clock"


@pytest.fixture
def clock() -> Iterator[Path]:
    """What makes the clock of the program run ahead that it is preloaded into; whoever that runs as."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    with tempfile.TemporaryDirectory(prefix="fixionmail-tests-") as folder:
        Path(folder).chmod(0o755)
        library = Path(folder) / "clock.so"
        options = ["-shared", "-fPIC", "-O1", f"-DSECONDS={AHEAD_SECONDS}", "-o", str(library)]
        subprocess.run([compiler, *options, str(SOURCE)], check=True, capture_output=True)
        yield library


def apart(redis_url: str | None, database_url: str | None, home: Path) -> dict[str, Finding]:
    """Whose clock is said to be off."""
    settings = settings_of(redis_url, database_url, home)
    with closing(Observer(redis_url=redis_url, settings=settings)) as observer:
        found = find(observer.look())
    return {finding.subjects[0]: finding for finding in found if finding.kind == "clock-skew"}


@contextmanager
def running_redis(folder: Path, clock: Path | None = None) -> Iterator[str]:
    server = RedisServer(folder)
    with pytest.MonkeyPatch.context() as patch:
        if clock:
            patch.setenv("LD_PRELOAD", str(clock))
        server.start()
    try:
        yield server.url
    finally:
        server.kill()


def test_a_redis_whose_clock_runs_ahead_is_named_until_it_is_right(
    database_url: str, clock: Path, tmp_path: Path
) -> None:
    with running_redis(tmp_path, clock) as url:
        (finding,) = apart(url, database_url, tmp_path).values()
        assert (finding.drill, finding.harm, finding.subjects) == (21, Harm.RISK, ("Redis",))
        assert re.search(r"Redis.*1 min [23]\d s", finding.title)
        assert finding.cause.startswith("Redis is ahead.")
        assert finding.cures[0].command == "timedatectl set-ntp true"
    with running_redis(tmp_path) as url:
        assert apart(url, database_url, tmp_path) == {}


@contextmanager
def postgres_ahead(clock: Path) -> Iterator[str]:
    """A Postgres of ours whose clock runs ahead, migrated."""
    programs = clock.parent / "bin"
    programs.mkdir()
    for program in postgres_bin().iterdir():
        (programs / program.name).symlink_to(program)
    server = programs / "postgres"
    server.unlink()
    server.write_text(f'#!/bin/sh\nLD_PRELOAD={clock} exec {postgres_bin()}/postgres "$@"\n')
    server.chmod(0o755)
    with (
        tempfile.TemporaryDirectory(prefix="fixionmail-tests-") as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("FIXIONMAIL_POSTGRES_BIN", str(programs))
        patch.setenv("FIXIONMAIL_POSTGRES_OPTIONS", "fsync=off")
        with embedded_postgres(Path(home)) as url:
            migrations.migrate(url)
            yield url


def test_a_postgres_whose_clock_runs_ahead_is_named(redis_url: str, clock: Path, tmp_path: Path) -> None:
    with postgres_ahead(clock) as url:
        (finding,) = apart(redis_url, url, tmp_path).values()
    assert (finding.drill, finding.harm, finding.subjects) == (21, Harm.RISK, ("Postgres",))
    assert finding.cause.startswith("Postgres is ahead.")


def test_a_machine_whose_clock_runs_ahead_says_so_of_both_servers_and_of_neither_once_it_is_right(
    deployment: Deployment,
) -> None:
    off = {"PYTHONPATH": str(OFF_BY_HOURS), "CLOCK_IS_OFF_BY_HOURS": "2"}
    causes = {cause for cause in told(deployment, **off) if "is behind." in cause}
    assert {cause.split()[0] for cause in causes} == {"Redis", "Postgres"}
    assert told(deployment) == []


def told(deployment: Deployment, **settings: str) -> list[str]:
    """What the doctor says of clocks."""
    ended = commands.run(deployment.settings.home, "doctor", "--json", **environment(deployment), **settings)
    return [each["cause"] for each in ended.json()["findings"] if each["kind"] == "clock-skew"]
