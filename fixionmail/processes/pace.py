"""How patient supervision is: pauses between starts, limits of stops, sizes of logs."""

from __future__ import annotations

import random
from dataclasses import dataclass

MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Pace:
    """All times in seconds.

    Attributes:
        first_pause: before a process that died is started again; doubles each time it dies early again.
        longest_pause: the pause does not grow beyond this.
        jitter: the share by which a pause is varied, so that what died together does not start together.
        stable: having lived this long, a process counts as healthy: its next pause is the first one again.
        loop_after: so many early ends in a row are a crash loop.
        settled: having lived this long, a process counts as running rather than starting.
        stop_limit: how long a process may take to finish what it has begun; then it is killed.
        look_every: how often the supervisor looks.
        log_bytes: a log that has grown to this size is put away.
        logs_kept: how many logs that were put away are kept.
    """

    first_pause: float = 1.0
    longest_pause: float = 60.0
    jitter: float = 0.2
    stable: float = 60.0
    loop_after: int = 5
    settled: float = 1.5
    stop_limit: float = 30.0
    look_every: float = 0.2
    log_bytes: int = 10 * MEBIBYTE
    logs_kept: int = 3

    def pause(self, early_ends: int) -> float:
        """How long to wait after so many early ends in a row."""
        plain = min(self.first_pause * 2.0 ** min(early_ends - 1, 30), self.longest_pause)
        return plain * random.uniform(1 - self.jitter, 1 + self.jitter)
