"""What the operator changes in a real deployment: targets as the screen names them become those of the operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from fixionmail.errors import InputError
from fixionmail.ops import actions, failures
from fixionmail.ops.actions import Hands, Order
from fixionmail.ops.matching import deliveries_matching, rows_matching
from fixionmail.ops.snapshot import Observer
from fixionmail.ops.views.findings import Preview, Progress
from fixionmail.processes.fleet import Fleet
from fixionmail.subscribers.service import Operator

QUERY, GROUP = "query:", "group:"
EVERYTHING = "all"


class Changes:
    """Previews and runs actions.

    Args:
        hands: change the deployment.
        observer: finds the jobs that a filter or a group of failures means.
        fleet: the processes of this machine.
    """

    def __init__(self, hands: Hands, observer: Observer, fleet: Fleet) -> None:
        self._hands = hands
        self._observer = observer
        self._fleet = fleet

    def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
        """What the action would touch; changes nothing. ``detail``: what it needs beside its targets.

        Raises:
            FixionMailError: it does not fit, or the deployment cannot be asked.
        """
        name, meant = self._meant(action, targets)
        return actions.preview(self._hands, name, meant, detail=detail)

    def run(self, preview: Preview, reason: str, cursor: str) -> Iterator[Progress]:
        """Do what was previewed, on record with its reason."""
        order = Order(
            operator=Operator.of_this_process(), reason=reason or "from the console", detail=preview.detail
        )
        return actions.run(self._hands, preview, order, cursor=cursor)

    def close(self) -> None:
        """Let go of connections."""
        self._hands.close()

    def _meant(self, action: str, targets: tuple[str, ...]) -> tuple[str, Sequence[str]]:
        if action in ("scale-up", "scale-down"):
            return self._scaled(action, targets[0])
        if targets == (EVERYTHING,):
            return action, ()
        if targets and targets[0].startswith(QUERY):
            return action, self._matching(actions.action(action).about, targets[0].removeprefix(QUERY))
        if targets and targets[0].startswith(GROUP):
            return action, self._failed_alike(targets[0].removeprefix(GROUP))
        return action, targets

    def _matching(self, about: str, query: str) -> Sequence[str]:
        """Everything that a filter finds: jobs, deliveries or the subscribers of deliveries."""
        if about not in ("delivery", "subscriber"):
            return [row.job_id for row in rows_matching(self._observer.reader, query)]
        found = deliveries_matching(self._hands.store, query)
        return [row.address if about == "subscriber" else str(row.delivery_id) for row in found]

    def _scaled(self, action: str, kind: str) -> tuple[str, Sequence[str]]:
        """One more is the lowest number that does not run; one less is the highest that does."""
        numbers = [
            int(look.name.rpartition("-")[2])
            for look in self._fleet.look()
            if look.kind == kind and look.name != kind and look.state != "stopped"
        ]
        if action == "scale-down":
            if not numbers:
                raise InputError(f"No {kind} runs of which there can be fewer.")
            return "stop-process", (f"{kind}-{max(numbers)}",)
        free = next(number for number in range(1, len(numbers) + 2) if number not in numbers)
        return "start-process", (f"{kind}-{free}",)

    def _failed_alike(self, fingerprint: str) -> list[str]:
        """The failed jobs whose error has this fingerprint, by the last line of the error."""
        groups = [step.groups for step in failures.grouped(self._observer.reader, datetime.now(UTC))][-1]
        group = next((group for group in groups if group.fingerprint == fingerprint), None)
        if group is None:
            raise InputError("No failed job has this cause any more.")
        return [
            row.job_id
            for row in rows_matching(self._observer.reader, "state:failed")
            if group.error.endswith(failures.fingerprint(row.summary)[1])
        ]
