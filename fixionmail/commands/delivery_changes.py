"""What the commands that change deliveries have in common: preview, yes, an outcome for each, the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Protocol
from uuid import UUID

import typer

from fixionmail.commands.output import print_json, print_table
from fixionmail.commands.session import confirm

if TYPE_CHECKING:
    from fixionmail.models.deliveries import DeliveryChange, DeliveryRecord
    from fixionmail.store import Store

Ids = Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of deliveries.", show_default=False)]

DONE = ("ok", "already")
OK, PROBLEM, PARTLY = 0, 1, 3


class Change(Protocol):
    """What is done with each delivery."""

    def __call__(self, delivery_id: UUID, *, seen_state: str) -> DeliveryChange:
        """Change it if it is still in the state that was seen."""
        ...


def fetched(store: Store, ids: Sequence[UUID]) -> dict[UUID, DeliveryRecord | None]:
    """What is known about each, in the order given; None where there is no such delivery."""
    return {delivery_id: store.deliveries.show(delivery_id) for delivery_id in ids}


def ask(records: Sequence[DeliveryRecord], verb: str, *, yes: bool, as_json: bool) -> None:
    """Show what is about to be changed, and go on only with a yes."""
    if not records:
        return
    if not as_json:
        print_table(("delivery", "date", "state", "address", "title", "reason"), map(_preview, records))
    if not yes:
        confirm(f"{verb} {len(records)} {'delivery' if len(records) == 1 else 'deliveries'}?")


def warn(words: str) -> None:
    """Say on standard error what could go wrong."""
    typer.echo(f"Warning: {words}", err=True)


def change_each(known: dict[UUID, DeliveryRecord | None], change: Change) -> dict[UUID, DeliveryChange]:
    """The outcome for each delivery; one that is refused does not hold up the others."""
    return {
        delivery_id: change(delivery_id, seen_state=record.delivery.state) if record else _gone()
        for delivery_id, record in known.items()
    }


def tell(outcomes: dict[UUID, DeliveryChange], *, as_json: bool) -> None:
    """Print each outcome, and end with 0 when all is as wished, 3 when some is, 1 when nothing is."""
    if as_json:
        rows = [{"delivery_id": delivery_id, **asdict(change)} for delivery_id, change in outcomes.items()]
        print_json({"outcomes": rows})
    elif outcomes:
        print_table(("delivery", "outcome"), ((str(i), _words(change)) for i, change in outcomes.items()))
    else:
        typer.echo("There is nothing to change.")
    done = sum(change.verdict in DONE for change in outcomes.values())
    raise typer.Exit(OK if done == len(outcomes) else PARTLY if done else PROBLEM)


def moment(instant: datetime | None) -> str:
    """In UTC, to the minute."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}" if instant else ""


def _gone() -> DeliveryChange:
    """The outcome for a delivery that does not exist."""
    from fixionmail.models.deliveries import DeliveryChange
    from fixionmail.models.verdict import Verdict

    return DeliveryChange(verdict=Verdict.GONE, state="", reason="")


def _preview(record: DeliveryRecord) -> tuple[str, ...]:
    row = record.delivery
    return (str(row.delivery_id), str(row.local_date), row.state, row.address, row.title, row.reason)


def _words(change: DeliveryChange) -> str:
    match change.verdict:
        case "ok":
            return f"is {change.state} now"
        case "already":
            return f"is {change.state} already"
        case "changed":
            return f"left as it is: it has become {change.state} in the meantime"
        case "gone":
            return "there is no such delivery"
        case _:
            return f"left as it is: {change.reason}"
