"""Sending at the moment that the database has handed out, not a little before and not long after.

The provider counts requests in any one second, and we promise never to make more than it allows. Slots are evenly
spaced by the database's clock; what could push requests together is the way from there to the wire. So the slot is an
instant, each process knows how its own clock differs from the database's, and waits with the connection already open.
Whoever is late all the same gives the slot up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LATE_SECONDS = 0.05
"""A slot may be used this long. At 94 % of the provider's limit, a second and this hold no slot too many."""
_DRIFT = 1e-4
"""Seconds a second by which two clocks may part."""


class SlotMissedError(Exception):
    """The slot passed before the request could leave: nothing was written, ask for another slot."""


class SlotClock:
    """The database's clock, told from our own monotonic one. One for a process; threads may share it.

    The answer to each call says what time it was in the database some time between question and answer. The closest
    such reading is kept, until it is so old that drift has made it worse than a new one.

    Args:
        monotonic: our own clock, in seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._offset = 0.0
        self._error = float("inf")
        self._read_at = 0.0

    def learn(self, *, asked_at: float, answered_at: float, now: float) -> None:
        """Take in a reading: it was ``now`` in the database at some moment between those two of ours."""
        error = (answered_at - asked_at) / 2
        with self._lock:
            if error <= self._error + (answered_at - self._read_at) * _DRIFT:
                self._offset = (asked_at + answered_at) / 2 - now
                self._error, self._read_at = error, answered_at

    def monotonic(self) -> float:
        """Our own clock."""
        return self._monotonic()

    def until(self, slot: float) -> float:
        """Seconds until ``slot``, a moment of the database's clock; negative when it has passed."""
        with self._lock:
            return slot + self._offset - self._monotonic()

    def wait_for(self, slot: float) -> None:
        """Return at ``slot``.

        Raises:
            SlotMissedError: it has passed.
        """
        while (left := self.until(slot)) > 0:
            self._sleep(left)
        if left < -LATE_SECONDS:
            raise SlotMissedError
