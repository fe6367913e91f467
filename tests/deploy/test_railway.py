"""Railway's configuration, and what SERVICE_TYPE starts."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli
from fixionmail.jobs.worker import WorkerOptions
from fixionmail.settings import ServiceType
from tests.commands import run, running, until
from tests.integration.worker.servers import free_port

ROOT = Path(__file__).parents[2]
FILES = ("railway.toml", "railway.web.toml")


@pytest.fixture(params=FILES)
def deploy(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The ``deploy`` part of one file."""
    values: dict[str, Any] = tomllib.loads((ROOT / request.param).read_text(encoding="utf-8"))
    assert values["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}
    return dict(values["deploy"])


def test_a_service_always_comes_back_and_may_finish_what_it_has_begun(deploy: dict[str, Any]) -> None:
    assert deploy["restartPolicyType"] == "ALWAYS"
    assert deploy["drainingSeconds"] > WorkerOptions(queues=("x",), concurrency=1).drain_seconds + 10


def test_migrations_come_before_a_deployment(deploy: dict[str, Any]) -> None:
    (command,) = deploy["preDeployCommand"]
    program, *arguments = shlex.split(command)
    assert program == "fixionmail"
    assert CliRunner().invoke(cli.app, [*arguments, "--help"]).exit_code == 0


def test_only_the_web_service_has_a_health_check_over_http() -> None:
    common, web = (tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["deploy"] for name in FILES)
    assert "healthcheckPath" not in common
    assert web["healthcheckPath"] == "/readyz"


@pytest.mark.parametrize("kind", list(ServiceType))
def test_service_type_says_what_run_starts_and_health_looks_at(
    tmp_path: Path, database_url: str, redis_url: str, kind: ServiceType
) -> None:
    settings = {
        "SERVICE_TYPE": kind.value,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": str(free_port()),
        "APP_BASE_URL": "https://stories.example.com",
    }
    sick = run(tmp_path, "health", **settings)
    assert (sick.code, sick.err) == (1, "")
    with running(tmp_path, "run", **settings):
        until(lambda: run(tmp_path, "health", **settings).code == 0, f"{kind} to be well")


def test_health_of_nothing_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    ended = run(tmp_path, "health")
    assert ended.code == 2
    assert "Say whose health" in ended.err


def test_health_is_exit_code_4_while_the_database_is_away(tmp_path: Path) -> None:
    url = f"postgresql://user:s3cret@127.0.0.1:{free_port()}/stories"
    ended = run(tmp_path, "health", "worker", DATABASE_URL=url)
    assert ended.code == 4
    assert "s3cret" not in ended.err
