"""In which order the queues are asked for jobs, so that urgent ones come first and none is starved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHARE = 10
"""One slot in so many is kept for each later queue while jobs wait in it."""


class QueueOrder:
    """Plans claims. The first queue is served first, except that a later queue with waiting jobs gets its share.

    With ten slots or more the share is a tenth of the slots; with fewer, the first place in every tenth plan.
    """

    def __init__(self, queues: Sequence[str], concurrency: int) -> None:
        self._queues = tuple(queues)
        self._share = concurrency // SHARE
        self._plans = 0

    def plan(self, wanted: int, running: Mapping[str, int]) -> list[tuple[str, int]]:
        """Steps of (queue, most jobs to take), to be followed until ``wanted`` jobs have been taken.

        Args:
            wanted: Free slots.
            running: Jobs in flight per queue.
        """
        self._plans += 1
        turn = 1 if not self._share and self._plans % SHARE == 0 else 0
        kept = ((queue, max(self._share - running.get(queue, 0), turn)) for queue in self._queues[1:])
        return [(queue, limit) for queue, limit in kept if limit] + [
            (queue, wanted) for queue in self._queues
        ]
