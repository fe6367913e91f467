"""Named points at which a test can end or stop a process: before and after each database call and each POST.

``FIXIONMAIL_FAULT="kill after begin_batch_v1"`` makes a process kill itself with SIGKILL when it first passes that
point, as a power cut would; ``stop …`` sends SIGSTOP instead. With ``FIXIONMAIL_FAULT_ONCE`` naming a file, only the
first process to pass does so (it creates the file). Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_wanted = os.environ.get("FIXIONMAIL_FAULT", "")
_once = os.environ.get("FIXIONMAIL_FAULT_ONCE", "")


def point(name: str) -> None:
    """Pass the point called ``name``; returns unless a fault was asked for here."""
    if _wanted and _wanted.partition(" ")[2] == name and _is_first():
        # To this very thread: sent to the process, another one takes it, and this one runs on for a moment.
        signal.raise_signal(_SIGNALS[_wanted.partition(" ")[0]])


def _is_first() -> bool:
    if not _once:
        return True
    try:
        Path(_once).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
