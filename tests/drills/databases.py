"""A database and a copy that was put back from before the day began, each with our processes, and their merging."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixionmail.schedule import occurrences
from fixionmail.store.embedded import postgres_bin
from tests.contract.store.world import new_subscriber
from tests.drills.conftest import Deployment
from tests.faults.deployment import Deployment as Processes
from tests.faults.deployment import deployment as processes_of
from tests.postgres import PostgresServer, url_of


@contextmanager
def restored(
    deployment: Deployment, server: PostgresServer, home: Path
) -> Iterator[tuple[Processes, Processes]]:
    """The deployment's database and its copy as of now, each with processes, and one provider for both."""
    name = deployment.world.connection.info.dbname
    deployment.world.store.close()
    deployment.world.connection.close()
    url = url_of(server.url, database=name)
    with (
        server.database(name) as copy,
        processes_of(home / "lost", url) as lost,
        processes_of(home / "restored", copy) as here,
    ):
        yield lost, replace(here, provider=lost.provider)


def subscribe(deployment: Deployment, count: int = 1) -> None:
    """Readers whose story is due."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    due = next(occurrences(timezone="UTC", delivery_time=f"{at:%H:%M}", from_date=at.date()))
    readers = [
        replace(new_subscriber(timezone="UTC"), delivery_time=f"{at:%H:%M}", due=due) for _ in range(count)
    ]
    deployment.world.store.subscribers.add(readers)


def load(rows_of: str, into: str, *tables: str) -> str:
    """Load the rows of one database's tables into another with pg_dump and psql; why it was refused, or nothing.

    As pg_dump offers it for rows alone, no foreign key is looked at; unique indexes are.
    """
    options = ["--data-only", "--disable-triggers", *(f"--table=public.{table}" for table in tables)]
    dump = subprocess.run(
        [postgres_bin() / "pg_dump", *options, rows_of], capture_output=True, text=True, check=True
    )
    words = [postgres_bin() / "psql", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", into]
    return subprocess.run(words, input=dump.stdout, capture_output=True, text=True, check=False).stderr
