"""One deployment per test; Redis only where a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment, deployment


@pytest.fixture
def fallback(tmp_path: Path, database_url: str) -> Iterator[Deployment]:
    """Without Redis: the delivery loop sends, the scheduler loop writes."""
    with deployment(tmp_path, database_url) as made:
        yield made


@pytest.fixture
def queued(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Deployment]:
    """With Redis: the loops ring, workers write and send."""
    with deployment(tmp_path, database_url, redis_url) as made:
        yield made
