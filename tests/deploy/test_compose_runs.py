"""What the compose file would run, run here: its commands with its environments, on this machine's servers."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.commands import run, running, until
from tests.deploy.compose import COMPOSE, ROOT, filled_in
from tests.integration.worker.servers import free_port
from tests.standins.postgrest import PostgrestStandIn

SERVICES = COMPOSE["services"]
PROCESSES = ("web", "scheduler", "delivery", "worker")


@dataclass(frozen=True)
class Composition:
    """The places that the file's names stand for here."""

    home: Path
    places: Mapping[str, str]

    def here(self, text: str) -> str:
        """``text`` of the file, with places of this machine in it."""
        names = "|".join(map(re.escape, self.places))
        return re.sub(names, lambda found: self.places[found[0]], filled_in(text))

    def settings(self, service: str) -> dict[str, str]:
        """The environment of a service."""
        return {name: self.here(value) for name, value in SERVICES[service]["environment"].items()}

    @contextmanager
    def catcher(self) -> Iterator[str]:
        """The catcher, from the image's entry point; its URL."""
        command = [
            *(sys.executable, "-m", "tests.standins.catcher"),
            *map(self.here, SERVICES["catcher"]["command"]),
        ]
        url = f"http://127.0.0.1:{self.places['8025']}"
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            try:
                until(lambda: _answers(url), "the catcher to answer")
                yield url
            finally:
                process.terminate()


@pytest.fixture
def composition(empty_database: str, redis_url: str, tmp_path: Path) -> Iterator[Composition]:
    places = {
        "postgresql://postgres:fixionmail@postgres:5432/fixionmail": empty_database,
        "redis://valkey:6379/0": redis_url,
        "/home/fixionmail/data": str(tmp_path / "data"),
        "http://catcher:": "http://127.0.0.1:",
        "http://web:": "http://127.0.0.1:",
        "0.0.0.0": "127.0.0.1",
        "8025": str(free_port()),
        "8080": str(free_port()),
    }
    migrated = run(tmp_path, *SERVICES["migrate"]["command"], DATABASE_URL=empty_database)
    assert migrated.code == 0, migrated.err
    with PostgrestStandIn(empty_database) as api:
        environment = SERVICES["scheduler"]["environment"]
        places |= {
            environment["SUPABASE_URL"]: api.url,
            environment["SUPABASE_SERVICE_KEY"]: api.service_key,
        }
        yield Composition(tmp_path, places)


def test_a_reader_gets_a_story_and_the_web_service_hears_of_its_delivery(
    composition: Composition, empty_database: str
) -> None:
    with ExitStack() as stack:
        catcher = stack.enter_context(composition.catcher())
        for name in PROCESSES:
            port = {"PORT": composition.places["8080"]} if name == "web" else {}
            settings = composition.settings(name) | {"CHECK_INTERVAL_SECONDS": "1"} | port
            stack.enter_context(running(composition.home / name, "run", **settings))
        soon = f"{datetime.now(UTC):%H:%M}"
        added = run(
            composition.home,
            *("subscribers", "add", "ada@reader.test", "--timezone", "UTC", "--delivery-time", soon),
            **composition.settings("worker"),
        )
        assert added.code == 0, added.err
        database = stack.enter_context(psycopg.connect(empty_database, autocommit=True))
        database.execute(
            "update subscriber_schedule set next_due_at = now(), next_local_date = (now() at time zone 'utc')::date"
        )

        until(lambda: _states(database) == ["delivered"], "the mail to be sent and reported")

        assert _leaders(database) == {"scheduler", "delivery"}
        page = httpx.get(catcher).text
        assert "1 mail" in page
        assert "ada@reader.test" in page
        path = page.partition('href="')[2].partition('"')[0]
        mail = httpx.get(catcher + path)
        assert "sandbox" in mail.headers["content-security-policy"]
        assert "unsubscribe" in mail.text


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url).is_success
    return False


def _states(database: psycopg.Connection) -> list[str]:
    return [state for (state,) in database.execute("select state from scheduled_deliveries")]


def _leaders(database: psycopg.Connection) -> set[str]:
    return {name for (name,) in database.execute("select name from leases where holder is not null")}
