"""Which process is meant: a process id alone may have passed to a stranger since it was written down."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil

SAME_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A process: its id, when it began in seconds after the machine did, and its command line.

    Counted from the machine's start, a beginning stays the same when somebody sets the clock. Of the command line only
    the arguments are compared: some interpreters replace themselves by a program with another path.
    """

    pid: int
    born: float
    argv: tuple[str, ...]


def identify(pid: int, argv: tuple[str, ...]) -> Identity | None:
    """The process we have just started with this command line; None when it is over already."""
    with suppress(psutil.Error):
        return Identity(pid=pid, born=_born(psutil.Process(pid)), argv=argv)
    return None


def find(identity: Identity) -> psutil.Process | None:
    """That very process if it lives; None for a stranger, for a dead one and for one that nobody collected."""
    with suppress(psutil.Error):
        process = psutil.Process(identity.pid)
        if (
            abs(_born(process) - identity.born) < SAME_SECONDS
            and process.cmdline()[1:] == list(identity.argv[1:])
            and process.status() != psutil.STATUS_ZOMBIE
        ):
            return process
    return None


def _born(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())
