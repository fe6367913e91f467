"""How a database function is called, whichever road leads there."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from fixionmail import faults
from fixionmail.errors import DatabaseUnreachableError

CALL_TIMEOUT_SECONDS = 10.0
"""No call takes longer than this; shorter than every lease (story 60 s, batch 60 s, leader 30 s)."""


class Transport(Protocol):
    """One road to the database functions."""

    name: str

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Call a function by name with named JSON arguments, in a transaction of its own.

        Returns:
            What the function returned: decoded JSON.

        Raises:
            DatabaseUnreachableError: no answer; the call may or may not have taken effect.
            DatabaseRefusedError: wrong password or key, or not allowed.
            DatabaseOutdatedError: there is no such function.
            DatabaseError: anything else that the database reports.
        """

    def close(self) -> None:
        """Give back connections."""


class Caller:
    """Calls functions with Python values, and again after an outage: every function may be called twice."""

    def __init__(self, transport: Transport, patience_seconds: float) -> None:
        self._transport = transport
        self._patience = patience_seconds

    def __call__(self, function: str, **arguments: Any) -> Any:
        """Call ``function`` with arguments named without their ``p_``; see :meth:`Transport.call` for errors."""
        named = {f"p_{name}": to_json(value) for name, value in arguments.items()}
        give_up_at = time.monotonic() + self._patience
        pause = 0.05
        while True:
            try:
                faults.point(f"before {function}")
                answer = self._transport.call(function, named)
                faults.point(f"after {function}")
                return answer
            except DatabaseUnreachableError:
                if time.monotonic() + pause > give_up_at:
                    raise
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, 2.0)


def instant(text: str | None) -> datetime | None:
    """An instant as JSON carries it; there may be none."""
    return datetime.fromisoformat(text) if text else None


def to_json(value: Any) -> Any:
    """A value as JSON carries it: ids and instants as text, an instant with its offset, text as it can be stored."""
    match value:
        case UUID() | date() if not isinstance(value, datetime):
            return str(value)
        case datetime():
            assert value.tzinfo is not None, "an instant without a zone would be read in the session's zone"
            return value.isoformat()
        case Mapping():
            return {key: to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
        case str():
            return storable(value)
        case _:
            return value


def is_passing(sqlstate: str) -> bool:
    """Whether the same call may work a moment later: a conflict, an outage, a shutdown, a lack of resources."""
    return sqlstate in ("40001", "40P01", "55P03") or sqlstate[:2] in ("08", "53", "57", "58")


def storable(text: str) -> str:
    """``text`` without what Postgres cannot hold: NUL and lone surrogates become question marks."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")
