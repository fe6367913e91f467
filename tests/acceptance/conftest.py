"""The real command line, on a Redis alone or on a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.commands import Ended, run

Fixionmail = Callable[..., Ended]
"""Runs ``fixionmail`` with arguments, and with settings by name."""


@dataclass(frozen=True)
class Operator:
    """Runs commands on one Redis, with a home and a place for records of its own."""

    home: Path
    url: str

    def __call__(self, *arguments: str) -> Ended:
        return run(self.home, *arguments, "--redis-url", self.url, XDG_STATE_HOME=str(self.home))

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The document that it prints."""
        ended = self(*arguments, "--json")
        assert ended.code == code, ended
        document = ended.json()
        assert document["schema"] == 1
        return document

    @property
    def on_record(self) -> str:
        """What it has put on record."""
        path = self.home / "fixionmail" / "audit.jsonl"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def operate(redis_url: str, tmp_path: Path) -> Operator:
    """Commands on that Redis, which no settings name."""
    return Operator(tmp_path / "home", redis_url)


@pytest.fixture
def fixionmail(tmp_path: Path, database_url: str) -> Fixionmail:
    """Commands on a database of its own."""

    def call(*arguments: object, **settings: str) -> Ended:
        return run(tmp_path, *map(str, arguments), **{"DATABASE_URL": database_url, **settings})

    return call
