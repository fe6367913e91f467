"""What the views hold, beside their names: only what is worth a look."""

from __future__ import annotations

from console.figures import short
from console.marks import BAD_STYLE, WARN_STYLE, harm_style
from fixionmail.ops.views.findings import Finding
from fixionmail.ops.views.redis import WorkerHealth
from fixionmail.ops.views.snapshot import Snapshot


def badges(snapshot: Snapshot, findings: tuple[Finding, ...]) -> dict[str, tuple[str, str]]:
    """Words and colour for each view that has something to say."""
    made: dict[str, tuple[str, str]] = {}
    if findings:
        made["stuck"] = (short(len(findings)), harm_style(max(finding.harm for finding in findings)))
    failed = sum(queue.failed for queue in snapshot.queues.value or ())
    if failed:
        made["failures"] = (short(failed), BAD_STYLE)
    sick = [w for w in snapshot.workers.value or () if w.health in (WorkerHealth.DEAD, WorkerHealth.QUIET)]
    if sick:
        made["workers"] = (short(len(sick)), WARN_STYLE)
    uncertain = snapshot.deliveries.value.uncertain if snapshot.deliveries.value else 0
    if uncertain:
        made["deliveries"] = (short(uncertain), WARN_STYLE)
    return made
