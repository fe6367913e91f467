"""A supervisor in the background that is in a hurry: ``python -m tests.standins.supervisor HOME``.

As ``fixionmail processes supervise --detach`` it returns at once and goes on by itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

from fixionmail.processes.pace import Pace
from fixionmail.processes.supervisor import supervise

HURRIED = Pace(
    first_pause=0.05,
    longest_pause=0.2,
    jitter=0,
    stable=30,
    loop_after=3,
    settled=0.05,
    stop_limit=1.0,
    look_every=0.02,
    log_bytes=20_000,
    logs_kept=2,
)

LENIENT = replace(HURRIED, stop_limit=40.0)
"""For programs that finish what they have begun, however slow the machine."""


def main(home: str) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    supervise(Path(home), stop, LENIENT)


if __name__ == "__main__":
    main(*sys.argv[1:])
