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
USE_SECONDS_A_DAY = 3600.0
"""A month's cost assumes that the console is used for so long a day, and then left open until the next."""
MONTH_DAYS = 30


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
        return self._wait(USED_SECONDS if used else UNUSED_SECONDS)

    def commands_per_month(self, commands: int) -> int:
        """What looking costs in a month of 30 days, at so many commands a look; see ``USE_SECONDS_A_DAY``.

        Looks are counted by the waits between them, so that the figure does not flicker with each answer.
        """
        used = (USE_SECONDS_A_DAY + IDLE_SECONDS) / self._wait(USED_SECONDS)
        left_open = (STOP_SECONDS - IDLE_SECONDS) / self._wait(UNUSED_SECONDS)
        return round(MONTH_DAYS * commands * (used + left_open))

    def _wait(self, pace: float) -> float:
        return max(pace, self.took * BACK_OFF)
