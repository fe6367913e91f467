"""What can run: each kind of process with the command line that starts it."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process to run. ``name`` is unique on this machine and names its log file."""

    name: str
    kind: str

    @property
    def argv(self) -> list[str]:
        """The command line; -P keeps a stray module in the working folder from taking our place."""
        return [sys.executable, "-P", "-m", "cli", "run", self.kind]


def specs(kind: str, copies: int) -> list[ProcessSpec]:
    """So many processes of one kind: ``worker-1``, ``worker-2``, ..."""
    return [ProcessSpec(name=f"{kind}-{number}", kind=kind) for number in range(1, copies + 1)]
