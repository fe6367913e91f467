"""What the application says of itself, tried by a generator of requests that nobody would think of."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from fixionmail.web.app import Site, create_app
from fixionmail.web.rates import Rates
from fixionmail.web.threads import Threads
from tests.web.conftest import PUBLIC, Web


def description() -> Any:
    """The application's OpenAPI; nothing of it is called."""
    site = Site(
        base_url=f"https://{PUBLIC}",
        store=None,  # type: ignore[arg-type]
        look=lambda: None,  # type: ignore[arg-type,return-value]
        check=lambda: None,
        signatures=None,
        threads=Threads(1),
        unsubscribe_rates=Rates(1, 1),
    )
    return create_app(site).openapi()


schema = schemathesis.openapi.from_dict(description())


@pytest.fixture(autouse=True)
def address(web: Web) -> None:
    schema.config.update(base_url=web.url)


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_was_announced(web: Web, case: schemathesis.Case) -> None:
    case.headers = {**(case.headers or {}), "Host": PUBLIC}
    case.call_and_validate(base_url=web.url)
