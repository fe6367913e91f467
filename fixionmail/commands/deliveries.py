"""``fixionmail deliveries``: what is due, what went out, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from fixionmail.commands import delivery_actions
from fixionmail.commands.output import AsJson, moment, print_facts, print_json, print_table
from fixionmail.commands.session import opened_to_look
from fixionmail.models.deliveries import DeliveryState

if TYPE_CHECKING:
    from fixionmail.models.deliveries import Delivery, Membership
    from fixionmail.ops.views.deliveries import DeliveryDetail
    from fixionmail.store import Store

app = typer.Typer(help="What is due, what went out, and what to do about the rest.", no_args_is_help=True)
delivery_actions.register(app)

PAGE = 500


@app.command("list")
def list_(
    state: Annotated[list[DeliveryState] | None, typer.Option(help="Only these; may be repeated.")] = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A part of the address, title or an id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest due first. A search looks at the newest 5,000 of each state."""
    with opened_to_look() as store:
        found, bounded = _listed(store, [str(name) for name in state or ()], search, limit + 1)
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"deliveries": [asdict(row) for row in shown], "more": more, "bounded": bounded})
        return
    print_table(("delivery", "due (UTC)", "state", "address", "title", "reason"), map(_row, shown))
    if more:
        typer.echo(f"These are the first {limit}; there are more: --limit, --state, --search.")
    elif not shown:
        typer.echo("No deliveries found.")
    if bounded and not more:
        typer.echo("Older ones were not searched: name a whole id with show, or narrow it by --state.")


@app.command()
def show(
    delivery_id: Annotated[UUID, typer.Argument(metavar="ID", show_default=False)], as_json: AsJson = False
) -> None:
    """Show one delivery: what it is, every mail request it was in, and what happened when. Exit code 1 if unknown."""
    from fixionmail.ops.deliveries import UnknownDeliveryError
    from fixionmail.ops.delivery_detail import detail

    with opened_to_look() as store:
        record = store.deliveries.show(delivery_id)
    if record is None:
        raise UnknownDeliveryError(delivery_id)
    seen = detail(record)
    if as_json:
        print_json({"delivery": asdict(record), "timeline": [asdict(event) for event in seen.timeline]})
        return
    print_facts(_facts(seen))
    if record.batches:
        _print_requests(record.batches)
    print_table(("at (UTC)", "what happened"), ((moment(event.at), event.what) for event in seen.timeline))


@app.command()
def duplicates(
    days: Annotated[int, typer.Option(min=1, help="How many days to look back.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Look for second mails, and for what could hide one. Exit code 1 when something is found."""
    since = (datetime.now(UTC) - timedelta(days=days)).date()
    with opened_to_look() as store:
        found = store.deliveries.duplicates(since=since)
    if as_json:
        print_json({"since": since, "findings": [asdict(finding) for finding in found]})
    elif found:
        print_table(
            ("found", "of", "deliveries", "detail"),
            ((row.kind, row.subject, "\n".join(map(str, row.delivery_ids)), row.detail) for row in found),
        )
    else:
        typer.echo(f"No duplicates since {since}, and every constraint against them is in force.")
    raise typer.Exit(1 if found else 0)


def _listed(store: Store, states: list[str], search: str | None, limit: int) -> tuple[list[Delivery], bool]:
    """At most ``limit`` deliveries, and whether older ones were left out of the search."""
    found: list[Delivery] = []
    while True:
        size = min(PAGE, limit - len(found))
        page = store.deliveries.list(
            states=states, search=search, after=found[-1] if found else None, limit=size
        )
        found += page.deliveries
        if len(page.deliveries) < size or len(found) == limit:
            return found, page.bounded


def _row(row: Delivery) -> tuple[str, ...]:
    return (str(row.delivery_id), moment(row.due_at), row.state, row.address, row.title, row.reason)


def _facts(seen: DeliveryDetail) -> Iterator[tuple[str, str]]:
    yield from seen.facts.items()
    for line in seen.evidence:
        yield "evidence", line
    if seen.state == DeliveryState.UNCERTAIN:
        yield "what to do", f"fixionmail deliveries resolve {seen.delivery_id} --from-provider"
    elif seen.advice:
        yield "what to do", seen.advice


def _print_requests(batches: Sequence[Membership]) -> None:
    print_table(
        ("mail request", "state", "mails", "attempts", "first used (UTC)", "outcome", "last answer"),
        (
            (
                batch.key or str(batch.batch_id),
                batch.state,
                str(batch.count),
                str(batch.attempts),
                moment(batch.first_used_at),
                batch.outcome or "open",
                " ".join(filter(None, (str(batch.last_status or ""), batch.last_error))),
            )
            for batch in batches
        ),
    )
