"""The compose file, as far as it can be checked without an engine."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from jsonschema import Draft7Validator

from fixionmail.settings import ServiceType, Settings
from tests.deploy.compose import COMPOSE, ROOT, filled_in

SCHEMA = json.loads((ROOT / "tests/deploy/compose-spec.json").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("build") == "."}
PROCESSES = [name for name in OURS if name != "migrate"]


def test_the_file_follows_the_compose_specification() -> None:
    assert list(Draft7Validator(SCHEMA).iter_errors(COMPOSE)) == []


def test_there_is_one_service_for_each_type_and_one_that_migrates() -> None:
    assert {OURS[name]["environment"]["SERVICE_TYPE"] for name in PROCESSES} == set(ServiceType)
    assert OURS["migrate"]["command"] == ["db", "migrate"]
    assert not [name for name in PROCESSES if "command" in OURS[name]]


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_a_service_is_given_settings_that_exist_and_are_right(service: dict[str, Any]) -> None:
    values = {name.lower(): filled_in(value) for name, value in service["environment"].items()}
    assert set(values) <= set(Settings.model_fields)
    Settings(_env_file=None, **{name: value for name, value in values.items() if value})  # type: ignore[call-arg]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_starts_after_the_migrations_and_may_drain(name: str) -> None:
    service = OURS[name]
    assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert service["restart"] == "always"
    assert int(service["stop_grace_period"].removesuffix("s")) > 25


def test_nothing_is_reachable_from_outside_but_the_web_service_and_the_mails_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"web": ["127.0.0.1:8080:8080"], "catcher": ["127.0.0.1:8025:8025"]}


def test_every_server_says_when_it_is_healthy_and_never_drops_a_key() -> None:
    servers = [name for name in SERVICES if name not in OURS]
    assert all("test" in SERVICES[name]["healthcheck"] for name in servers)
    assert "noeviction" in SERVICES["valkey"]["command"]


def test_both_roads_to_the_database_are_in_use() -> None:
    roads = {name: filled_in(OURS[name]["environment"]["DATABASE_URL"]) for name in PROCESSES}
    assert [name for name, url in roads.items() if not url] == ["scheduler"]
    environment = OURS["scheduler"]["environment"]
    signed_with = SERVICES["postgrest"]["environment"]["PGRST_JWT_SECRET"]
    claims = jwt.decode(environment["SUPABASE_SERVICE_KEY"], signed_with, algorithms=["HS256"])
    assert claims["role"] == "service_role"
    assert "handle_path /rest/v1/* {" in COMPOSE["configs"]["gateway"]["content"]
    assert environment["SUPABASE_URL"].endswith(COMPOSE["configs"]["gateway"]["content"].split()[0])


@pytest.mark.parametrize("name", PROCESSES)
def test_mail_goes_to_the_catcher_unless_it_is_said_otherwise(name: str) -> None:
    environment = OURS[name]["environment"]
    command = [filled_in(word) for word in SERVICES["catcher"]["command"]]
    assert filled_in(environment["RESEND_API_URL"]) == "http://catcher:8025"
    assert f"--api-key={filled_in(environment['RESEND_API_KEY'])}" in command
    assert f"--webhook-secret={filled_in(environment['RESEND_WEBHOOK_SECRET'])}" in command


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

    def test_is_the_last_target_so_that_nothing_of_the_tests_is_in_it(self) -> None:
        last = max(number for number, line in enumerate(self.lines) if line.startswith("FROM "))
        assert [line for line in self.lines[last:] if line.startswith("COPY")] == [
            "COPY --from=build /opt/fixionmail /opt/fixionmail"
        ]

    def test_runs_as_an_ordinary_user_and_gets_signals_itself(self) -> None:
        instructions = {line.partition(" ")[0]: line for line in self.lines if line[:1].isupper()}
        assert instructions["USER"] == "USER fixionmail"
        assert instructions["ENTRYPOINT"] == 'ENTRYPOINT ["fixionmail"]'
        assert instructions["CMD"] == 'CMD ["run"]'
        assert instructions["HEALTHCHECK"].endswith('CMD ["fixionmail", "health"]')
