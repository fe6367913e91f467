"""The jobs that a filter means, all of them: what bulk actions are given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fixionmail.errors import InputError
from fixionmail.ops import filters, pages, search
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.rows import STATES
from fixionmail.ops.views.jobs import JobRow

MOST_JOBS = 1_000_000


def rows_matching(reader: RedisReader, query: str) -> Sequence[JobRow]:
    """The jobs that match, newest first in each state; a million at most.

    Raises:
        InputError: the filter cannot be read, or names nothing: everything is never meant by nothing.
        RedisUnreachableError: with the reason in words.
    """
    if not query.strip():
        raise InputError("An empty filter means every job: say which, such as state:failed.")
    wanted = filters.parse(query)
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
