"""``fixionmail db reconcile``: after a restore, take in what the provider has sent since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from fixionmail.commands.output import AsJson, print_json
from fixionmail.commands.session import opened_store
from fixionmail.errors import InputError

if TYPE_CHECKING:
    from fixionmail.store import Store


def reconcile(
    hours: Annotated[
        float,
        typer.Option(
            min=1, help="How far to read back: to before the restored backup was made.", show_default=True
        ),
    ] = 48,
    as_json: AsJson = False,
) -> None:
    """Ask Resend what it has sent, and take in what a restored database does not know of. Mail must be held."""
    from dataclasses import asdict

    from fixionmail.ops.deliveries import resend_of
    from fixionmail.ops.reconcile import reconcile as take_in
    from fixionmail.settings import load_settings
    from fixionmail.subscribers.service import Operator

    who = Operator.of_this_process()
    with opened_store() as store, resend_of(load_settings()) as resend:
        _require_hold(store)
        since = datetime.now(UTC) - timedelta(hours=hours)
        done = take_in(store, resend, since=since, by=who.name, host=who.host)
    if as_json:
        print_json(asdict(done))
        return
    typer.echo(
        f"Read {done.read:,} mails back to {since:%Y-%m-%d %H:%M} UTC: {done.taken_in:,} taken in, "
        f"{done.known:,} known before, {done.strangers:,} to addresses that no subscriber has, "
        f"{done.unmarked:,} not ours."
    )
    typer.echo("When the backup is younger than that, nothing will be sent twice: fixionmail db release.")


def _require_hold(store: Store) -> None:
    switches = store.operations.snapshot(datetime.now(UTC).date()).switches
    if not any(switch.name == "mail_held" for switch in switches):
        raise InputError("Mail is not held, so more may go out meanwhile: run fixionmail db hold first.")
