"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], what: str, *, seconds: float = 60.0) -> None:
    """Return as soon as ``condition`` holds; fail, naming ``what``, when it does not within ``seconds``."""
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, f"not within {seconds} s: {what}"
        time.sleep(0.01)
