"""The compose file, as far as it can be checked without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixionmail.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def test_queue_mode_has_all_its_processes() -> None:
    assert {tuple(service["command"]) for service in OURS.values()} == {
        ("db", "migrate"),
        ("run", "scheduler"),
        ("run", "delivery"),
        ("run", "worker"),
    }


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_a_service_is_given_settings_that_exist(service: dict[str, Any]) -> None:
    assert {name.lower() for name in service["environment"]} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", [name for name in OURS if name != "migrate"])
def test_a_process_starts_after_the_migrations_and_may_drain(name: str) -> None:
    service = OURS[name]
    assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert service["restart"] == "always"
    assert int(service["stop_grace_period"].removesuffix("s")) > 25


def test_the_image_gets_what_it_copies() -> None:
    copied = [
        name
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]
    let_in = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[0] == "!"
    }
    assert set(copied) == let_in
    assert all((ROOT / name).exists() for name in copied)
