"""``fixionmail deliveries``: what is due, what went out, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from fixionmail.commands import deliveries_resolve
from fixionmail.commands.delivery_changes import Ids, ask, change_each, fetched, moment, tell, warn
from fixionmail.commands.output import AsJson, clean, print_facts, print_json, print_table
from fixionmail.commands.session import Yes, opened_store

if TYPE_CHECKING:
    from fixionmail.models.deliveries import Delivery, DeliveryRecord
    from fixionmail.store import Store

app = typer.Typer(help="What is due, what went out, and what to do about the rest.", no_args_is_help=True)
app.command("resolve")(deliveries_resolve.resolve)

PAGE = 500

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit log.")]


class State(StrEnum):
    """What a delivery's state can be."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    FAILED = "failed"
    REJECTED = "rejected"
    UNCERTAIN = "uncertain"
    MISSED = "missed"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"


@app.command("list")
def list_(
    state: Annotated[list[State] | None, typer.Option(help="Only these; may be repeated.")] = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A part of the address, title or an id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest due first. A search looks at the newest 5,000 of each state."""
    with opened_store() as store:
        found, bounded = listed(store, [str(name) for name in state or ()], search, limit + 1)
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
    """Show one delivery: its job, every mail request it was in, and what is on record. Exit code 1 if unknown."""
    from fixionmail.ops.deliveries import UnknownDeliveryError

    with opened_store() as store:
        record = store.deliveries.show(delivery_id)
    if record is None:
        raise UnknownDeliveryError(delivery_id)
    if as_json:
        print_json({"delivery": asdict(record)})
        return
    print_facts(_facts(record))
    if record.batches:
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
                for batch in record.batches
            ),
        )
    if record.audit:
        print_table(
            ("at (UTC)", "by", "what", "why"),
            ((moment(row.at), row.actor, row.action, row.reason) for row in record.audit),
        )


@app.command()
def retry(ids: Ids, reason: Reason = "no reason given", yes: Yes = False, as_json: AsJson = False) -> None:
    """Send again what was surely not received: rejected, failed, missed or cancelled. Due now, under a new key."""
    from fixionmail.ops.deliveries import may_have_gone_out
    from fixionmail.subscribers.service import Operator

    who = Operator.of_this_process()
    with opened_store() as store:
        known = fetched(store, ids)
        records = [record for record in known.values() if record]
        risky = [record for record in records if may_have_gone_out(record)]
        if risky:
            warn(
                f"{len(risky)} of these may already have gone out. Sent again is only what the provider itself "
                "reported as failed; the others are left as they are."
            )
        ask(records, "Send again", yes=yes, as_json=as_json)
        change = partial(store.deliveries.retry, by=who.name, host=who.host, reason=reason)
        outcomes = change_each(known, change)
    tell(outcomes, as_json=as_json)


@app.command()
def cancel(ids: Ids, reason: Reason = "no reason given", yes: Yes = False, as_json: AsJson = False) -> None:
    """Keep back what has not left: it waits, or its mail request was never begun."""
    from fixionmail.subscribers.service import Operator

    who = Operator.of_this_process()
    with opened_store() as store:
        known = fetched(store, ids)
        ask([record for record in known.values() if record], "Cancel", yes=yes, as_json=as_json)
        change = partial(store.deliveries.cancel, by=who.name, host=who.host, reason=reason)
        outcomes = change_each(known, change)
    tell(outcomes, as_json=as_json)


@app.command()
def duplicates(
    days: Annotated[int, typer.Option(min=1, help="How many days to look back.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Look for second mails, and for what could hide one. Exit code 1 when something is found."""
    since = (datetime.now(UTC) - timedelta(days=days)).date()
    with opened_store() as store:
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


def listed(store: Store, states: list[str], search: str | None, limit: int) -> tuple[list[Delivery], bool]:
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


def _facts(record: DeliveryRecord) -> Iterator[tuple[str, str]]:
    row = record.delivery
    yield "delivery", str(row.delivery_id)
    yield "state", f"{row.state} ({row.reason})" if row.reason else row.state
    yield "address", row.address
    yield "subscriber", str(row.user_id)
    yield "story", row.title or "never written"
    yield "local date", str(row.local_date)
    yield "due", f"{moment(row.due_at)} UTC, may be sent until {moment(row.send_until)} UTC"
    yield "generation", f"{row.generation} (of its key)"
    if row.provider_id or row.sent_at:
        yield "sent", f"{moment(row.sent_at)} UTC as {row.provider_id or 'an unknown id'}"
    error = f": {record.job_error}" if record.job_error else ""
    yield "job", clean(f"{record.job_id} is {record.job_state} after {record.job_attempt} attempts{error}")
    if row.state == State.UNCERTAIN:
        yield "what to do", f"fixionmail deliveries resolve {row.delivery_id} --from-provider"
