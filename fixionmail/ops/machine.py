"""What is to be seen of a deployment on this machine: its processes and the disk under its home."""

from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from pathlib import Path

import psutil

from fixionmail.errors import FixionMailError
from fixionmail.ops.checks import Machine
from fixionmail.ops.checks.scene import Scene
from fixionmail.ops.views.redis import QueueView, WorkerHealth
from fixionmail.ops.views.snapshot import Snapshot
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


def corrected(seen: Snapshot, here: Machine) -> Snapshot:
    """``seen`` with those workers dead whose processes are known to have gone from this machine, whatever their records
    say; nobody counts them as workers of a queue."""
    scene = Scene(now=seen, before=None, machine=here)
    alive = (worker for worker in scene.workers if worker.health is not WorkerHealth.DEAD)
    gone = {worker.name: worker.queues for worker in alive if scene.is_gone(worker)}

    def served(queue: QueueView) -> QueueView:
        return replace(queue, workers=queue.workers - sum(queue.name in queues for queues in gone.values()))

    workers = (replace(w, health=WorkerHealth.DEAD) if w.name in gone else w for w in scene.workers)
    return (
        replace(
            seen,
            workers=replace(seen.workers, value=tuple(workers)),
            queues=replace(seen.queues, value=tuple(map(served, scene.queues))),
        )
        if gone
        else seen
    )
