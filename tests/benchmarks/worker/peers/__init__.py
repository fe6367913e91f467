"""One module per queue: how to fill it and how to start its workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

Kind = Literal["noop", "story"]
PYTHON = sys.executable
URL = "BENCH_REDIS_URL"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A queue to be measured.

    Attributes:
        name: How it is called in tables.
        needs: Import names without which it is left out.
        fill: Queues so many jobs of a kind; called as ``fill(url, kind, jobs)``.
        commands: The worker processes to start for a kind, as argument lists; their environment has ``URL`` set.
        noops: How many no-op jobs make a good measure.
        stories: How many stories it can be asked for; fewer than others are scaled up and marked.
    """

    name: str
    needs: Sequence[str]
    fill: Callable[[str, Kind, int], None]
    commands: Callable[[Kind], Sequence[Sequence[str]]]
    noops: int
    stories: int = 500

    def is_installed(self) -> bool:
        return all(find_spec(name) is not None for name in self.needs)
