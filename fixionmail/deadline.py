"""How long the current piece of work may still take.

Threads cannot be interrupted from outside, so the limit travels with the work: whoever runs a job opens a
:func:`limit`, and code that waits asks :func:`remaining` for its network timeout and :func:`check` between steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fixionmail.errors import DeadlineExceededError

_ends_at: ContextVar[float | None] = ContextVar("deadline_ends_at", default=None)


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Allow the enclosed work ``seconds`` from now; an outer limit that ends sooner still holds."""
    ends_at = time.monotonic() + seconds
    outer = _ends_at.get()
    token = _ends_at.set(ends_at if outer is None else min(outer, ends_at))
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining(at_most: float) -> float:
    """Seconds the current work may still take, but never more than ``at_most``.

    Raises:
        DeadlineExceededError: nothing is left.
    """
    ends_at = _ends_at.get()
    if ends_at is None:
        return at_most
    left = ends_at - time.monotonic()
    if left <= 0:
        raise DeadlineExceededError("The time allowed for this work is over.")
    return min(left, at_most)


def check() -> None:
    """Stop here when the time is over.

    Raises:
        DeadlineExceededError: nothing is left.
    """
    remaining(0.0)
