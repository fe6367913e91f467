"""The endpoint, once of each kind: whatever is tested with it must hold for both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.stories.endpoints import Endpoint, running_endpoint


@pytest.fixture(params=["anthropic", "openai"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    with running_endpoint(request.param) as running:
        yield running
