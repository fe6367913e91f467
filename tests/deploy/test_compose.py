"""The compose file, as far as it can be checked without an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from fixionmail.settings import ServiceType, Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
PROCESSES = [name for name in OURS if name != "migrate"]


def test_the_file_follows_the_compose_specification() -> None:
    assert list(Draft7Validator(SCHEMA).iter_errors(COMPOSE)) == []


def test_there_is_one_service_for_each_type_and_one_that_migrates() -> None:
    assert {OURS[name]["environment"]["SERVICE_TYPE"] for name in PROCESSES} == set(ServiceType)
    assert OURS["migrate"]["command"] == ["db", "migrate"]
    assert not [name for name in PROCESSES if "command" in OURS[name]]


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_a_service_is_given_settings_that_exist(service: dict[str, Any]) -> None:
    assert {name.lower() for name in service["environment"]} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_starts_after_the_migrations_and_may_drain(name: str) -> None:
    service = OURS[name]
    assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert service["restart"] == "always"
    assert int(service["stop_grace_period"].removesuffix("s")) > 25


def test_nothing_but_the_web_service_of_this_machine_is_reachable_from_outside() -> None:
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert ports == {"web": ["127.0.0.1:8080:8080"]}


def test_every_server_says_when_it_is_healthy_and_never_drops_a_key() -> None:
    servers = [name for name in COMPOSE["services"] if name not in OURS]
    assert all("test" in COMPOSE["services"][name]["healthcheck"] for name in servers)
    assert "noeviction" in COMPOSE["services"]["valkey"]["command"]


class TestTheImage:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()

    def test_gets_what_it_copies(self) -> None:
        copied = [
            name
            for line in self.lines
            if line.startswith("COPY ") and "--from" not in line
            for name in line.split()[1:-1]
        ]
        ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        assert set(copied) == {line[1:] for line in ignore if line[0] == "!"}
        assert all((ROOT / name).exists() for name in copied)

    def test_runs_as_an_ordinary_user_and_gets_signals_itself(self) -> None:
        instructions = {line.partition(" ")[0]: line for line in self.lines if line[:1].isupper()}
        assert instructions["USER"] == "USER fixionmail"
        assert instructions["ENTRYPOINT"] == 'ENTRYPOINT ["fixionmail"]'
        assert instructions["CMD"] == 'CMD ["run"]'
        assert instructions["HEALTHCHECK"].endswith('CMD ["fixionmail", "health"]')
