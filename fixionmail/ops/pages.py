"""Tables of jobs: any states, one queue or all, newest first, by one Redis command at any depth."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from fixionmail.errors import InputError
from fixionmail.jobs.worker.scripts import Argument
from fixionmail.ops.connection import RedisReader, load_script
from fixionmail.ops.rows import STATES, row_of
from fixionmail.ops.views.jobs import JobPage

_PAGE = load_script("rows", "places", "page")
_CURSOR_LIMIT = 1_000_000
MAX_ROWS = 1000


def page(
    reader: RedisReader,
    *,
    states: Sequence[str] = STATES,
    queue: str = "",
    limit: int = 50,
    after: str = "",
) -> JobPage:
    """A window of the jobs in these states.

    Each state has its own order, which is RQ's: a queue by position, a registry by its score. Several are merged by
    when jobs came into their state. A page goes on behind the last entry shown, whatever has come or gone since.

    Args:
        reader: the Redis.
        states: any of ``STATES``.
        queue: one queue's name; empty for all.
        limit: rows, at most 1,000.
        after: ``next`` of the page before.

    Raises:
        InputError: ``after`` is none of ours.
        RedisUnreachableError: with the reason in words.
    """
    arguments: tuple[Argument, ...] = (min(limit, MAX_ROWS), ",".join(states), queue, *_places(after))
    total, rows, more, places = reader.run(_PAGE, arguments)
    return JobPage(rows=tuple(row_of(row) for row in rows), total=total, next=_cursor(places) if more else "")


def _cursor(places: Sequence[bytes]) -> str:
    """Names and ids may be any bytes, which Latin-1 carries unharmed."""
    text = json.dumps([place.decode("latin-1") for place in places])
    return urlsafe_b64encode(zlib.compress(text.encode())).decode()


def _places(cursor: str) -> list[bytes]:
    if not cursor:
        return []
    try:
        text = zlib.decompressobj().decompress(urlsafe_b64decode(cursor), _CURSOR_LIMIT)
        return [place.encode("latin-1") for place in json.loads(text)]
    except (ValueError, TypeError, AttributeError, zlib.error):
        raise InputError("This is no place to go on from: take `next` of the page before.") from None
