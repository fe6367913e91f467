"""Waiting longer after each failure, and never in step with the other processes."""

from __future__ import annotations

import random


class Backoff:
    """Full jitter: a random wait below a bound that doubles with each failure, never less than a tenth of it."""

    def __init__(self, *, first: float = 0.1, most: float = 5.0) -> None:
        self._first = first
        self._most = most
        self._failures = 0

    def failed(self) -> float:
        """Note a failure; returns the seconds to wait."""
        bound = min(self._most, self._first * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        return random.uniform(bound / 10, bound)

    def succeeded(self) -> None:
        self._failures = 0
