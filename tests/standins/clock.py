"""The wall clock of a stand-in, which a test can put forward."""

from __future__ import annotations

import threading
import time


class Clock:
    """Unix time in seconds that runs with the machine's clock plus whatever it was advanced by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead = 0.0

    def now(self) -> float:
        """Unix time in seconds."""
        return self.at(time.time())

    def at(self, moment: float) -> float:
        """What this clock shows at that moment of the machine's clock."""
        return moment + self._ahead

    def advance(self, seconds: float) -> None:
        """Put the clock forward; never backwards."""
        if seconds < 0:
            raise ValueError("a clock is only put forward")
        with self._lock:
            self._ahead += seconds
