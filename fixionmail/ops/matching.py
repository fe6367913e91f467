"""The jobs or deliveries that a filter means, all of them: what bulk actions are given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fixionmail.errors import InputError
from fixionmail.models.deliveries import Delivery, DeliveryState
from fixionmail.ops import filters, pages, search
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.rows import STATES
from fixionmail.ops.views.jobs import JobRow
from fixionmail.store import Store

MOST_JOBS = 1_000_000
MOST_DELIVERIES = 1_000_000
"""Also how many of each state are searched."""
DELIVERIES_PAGE = 2000


def rows_matching(reader: RedisReader, query: str) -> Sequence[JobRow]:
    """The jobs that match, newest first in each state; a million at most.

    Raises:
        InputError: the filter cannot be read, or names nothing: everything is never meant by nothing.
        RedisUnreachableError: with the reason in words.
    """
    wanted = filters.parse(query)
    if wanted == filters.JobFilter():
        raise InputError("An empty filter means every job: say which, such as state:failed.")
    if not wanted.is_plain:
        steps = search.search(reader, wanted, datetime.now(UTC), limit=MOST_JOBS, bound=MOST_JOBS)
        return [row for step in steps for row in step.rows]
    rows: list[JobRow] = []
    after = ""
    while len(rows) < MOST_JOBS:
        page = pages.page(
            reader, states=wanted.states or STATES, queue=wanted.queue, limit=pages.MAX_ROWS, after=after
        )
        rows += page.rows
        after = page.next
        if not after:
            break
    return rows


def deliveries_matching(store: Store, query: str) -> Sequence[Delivery]:
    """The deliveries that match, newest due first; a million at most.

    Args:
        store: the database.
        query: ``state:missed`` or ``state:missed,rejected``, and a part of the address, title or id.

    Raises:
        InputError: the filter cannot be read, or names nothing: everything is never meant by nothing.
        FixionMailError: of the database.
    """
    states, search_for = _delivery_filter(query)
    found: list[Delivery] = []
    while len(found) < MOST_DELIVERIES:
        page = store.deliveries.list(
            states=states,
            search=search_for or None,
            after=found[-1] if found else None,
            limit=DELIVERIES_PAGE,
            scan=MOST_DELIVERIES,
        )
        found += page.deliveries
        if len(page.deliveries) < DELIVERIES_PAGE:
            break
    return found


def _delivery_filter(query: str) -> tuple[Sequence[str], str]:
    """The states and the text that are looked for."""
    words = query.split()
    if not words:
        raise InputError("An empty filter means every delivery: say which, such as state:missed.")
    states = [
        name for word in words if word.startswith("state:") for name in word.removeprefix("state:").split(",")
    ]
    if unknown := [name for name in states if name not in set(DeliveryState)]:
        raise InputError(f"There is no state {unknown[0]!r}. States are {', '.join(DeliveryState)}.")
    return states, " ".join(word for word in words if not word.startswith("state:"))
