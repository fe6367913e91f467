"""What jobs leave behind to be timed by: a few bytes per process, shared through a mapped file.

All processes are on one machine, so their monotonic clocks are one clock.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = "BENCH_MARKS"
_LAYOUT = struct.Struct("<qdd")  # jobs ended, first begin, last end


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What all processes have done so far; times in seconds of the machine's monotonic clock."""

    count: int
    first: float
    last: float

    @property
    def seconds(self) -> float:
        return self.last - self.first


class _Mark:
    def __init__(self) -> None:
        self.pid = os.getpid()
        path = Path(os.environ[FOLDER]) / str(self.pid)
        path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._count = 0
        self._lock = threading.Lock()
        self._first = time.monotonic()

    def end(self) -> None:
        with self._lock:
            self._count += 1
            _LAYOUT.pack_into(self._memory, 0, self._count, self._first, time.monotonic())


_mark: _Mark | None = None
_opening = threading.Lock()


def begin() -> None:
    """A job begins in this process."""
    global _mark
    if _mark is not None and _mark.pid == os.getpid():
        return
    with _opening:
        if _mark is None or _mark.pid != os.getpid():
            _mark = _Mark()


def end() -> None:
    """A job has ended in this process."""
    assert _mark is not None
    _mark.end()


def totals(folder: Path) -> Totals:
    """Add up what the processes left in ``folder``."""
    marks = [
        _LAYOUT.unpack(data) for path in folder.iterdir() if len(data := path.read_bytes()) == _LAYOUT.size
    ]
    marks = [mark for mark in marks if mark[0]]
    if not marks:
        return Totals(count=0, first=0.0, last=0.0)
    return Totals(
        count=sum(mark[0] for mark in marks),
        first=min(mark[1] for mark in marks),
        last=max(mark[2] for mark in marks),
    )
