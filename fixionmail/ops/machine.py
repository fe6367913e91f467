"""What is to be seen of a deployment on this machine: its processes and the disk under its home."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import psutil

from fixionmail.errors import FixionMailError
from fixionmail.ops.checks import Machine
from fixionmail.processes.fleet import Fleet


def look(home: Path) -> Machine:
    """Take a look; what cannot be seen is part of the picture. Reads only."""
    failures: dict[str, str] = {}
    free = total = None
    try:
        usage = shutil.disk_usage(next(folder for folder in (home, *home.parents) if folder.is_dir()))
        free, total = usage.free, usage.total
    except OSError as error:
        failures["disk"] = str(error)
    try:
        processes = Fleet(home).look() if home.is_dir() else ()
    except (FixionMailError, OSError) as error:
        processes, failures["processes"] = (), str(error)
    return Machine(
        processes=processes,
        home=str(home),
        free_bytes=free,
        total_bytes=total,
        host=socket.gethostname(),
        pids=frozenset(psutil.pids()),
        failures=failures,
    )
