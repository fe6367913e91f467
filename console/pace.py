"""How often the console looks: fast while somebody uses it, slow while nobody does, and at last not at all."""

from __future__ import annotations

from dataclasses import dataclass

USED_SECONDS = 2.0
UNUSED_SECONDS = 30.0
IDLE_SECONDS = 60.0
"""Without a key for this long, the console counts as not used."""
STOP_SECONDS = 600.0
"""Without a key for this long, it stops looking."""
BACK_OFF = 3.0
"""It never looks for more than one part in so many plus one of the time."""
MONTH_SECONDS = 30 * 86400


@dataclass(kw_only=True)
class Pace:
    """Decides when to look next. Instants are monotonic seconds.

    Attributes:
        used_at: when the last key was pressed.
        focused: the terminal says that it has the focus, or says nothing.
        paused: the operator stopped it.
        took: seconds the last look took.
    """

    used_at: float
    focused: bool = True
    paused: bool = False
    took: float = 0.0

    def use(self, now: float) -> None:
        """Somebody pressed a key."""
        self.used_at = now

    def stopped(self, now: float) -> bool:
        """Nobody has used the console for so long that it does not look any more."""
        return now - self.used_at >= STOP_SECONDS

    def wait(self, now: float) -> float | None:
        """Seconds until the next look; None while there is to be none."""
        if self.paused or self.stopped(now):
            return None
        used = self.focused and now - self.used_at < IDLE_SECONDS
        return max(USED_SECONDS if used else UNUSED_SECONDS, self.took * BACK_OFF)

    def commands_per_month(self, now: float, commands: int) -> int:
        """What looking at this pace, day and night, costs a month."""
        wait = self.wait(now)
        return 0 if wait is None else round(commands * MONTH_SECONDS / (wait + self.took))
