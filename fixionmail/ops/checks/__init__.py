"""What is wrong with a deployment, and what mends it: the one meaning of stuck, late, lost, duplicate and uncertain."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fixionmail.ops.checks.database import check as check_database
from fixionmail.ops.checks.deliveries import check as check_deliveries
from fixionmail.ops.checks.loops import check as check_loops
from fixionmail.ops.checks.machine import check as check_machine
from fixionmail.ops.checks.queues import check as check_queues
from fixionmail.ops.checks.redis import check as check_redis
from fixionmail.ops.checks.rows import check as check_rows
from fixionmail.ops.checks.scene import Machine, Scene
from fixionmail.ops.checks.workers import check as check_workers
from fixionmail.ops.checks.writing import check as check_writing
from fixionmail.ops.views.findings import Finding
from fixionmail.ops.views.snapshot import Snapshot

__all__ = ["Machine", "find"]

_CHECKS: tuple[Callable[[Scene], Iterator[Finding]], ...] = (
    check_database,
    check_redis,
    check_queues,
    check_workers,
    check_loops,
    check_deliveries,
    check_writing,
    check_rows,
    check_machine,
)


def find(
    snapshot: Snapshot, previous: Snapshot | None = None, machine: Machine | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong, worst first. Reads nothing but its arguments.

    Args:
        snapshot: the deployment now.
        previous: an earlier look at it, by which what should move and does not is known.
        machine: the processes and the disk of this machine, where they are the deployment's.
    """
    scene = Scene(now=snapshot, before=previous, machine=machine)
    found = [finding for check in _CHECKS for finding in check(scene)]
    return tuple(sorted(found, key=lambda finding: (-finding.harm, finding.kind, finding.subjects)))
