"""``fixionmail deliveries retry|cancel|resolve``: changing deliveries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from fixionmail.commands.acting import DryRun, Rate, Targets, Why, act
from fixionmail.commands.output import AsJson
from fixionmail.commands.session import Yes
from fixionmail.errors import InputError

AllMatching = Annotated[
    str | None,
    typer.Option(
        metavar="FILTER",
        help="Every delivery that this finds, instead of ids: state:missed, and a part of the address or title.",
        show_default=False,
    ),
]
_HELP = {
    "retry": "Send again what was surely not received: rejected, failed, missed, cancelled. Due now, under a new key.",
    "cancel": "Keep back what has not left: it waits, or its mail request was never begun.",
}


def register(app: typer.Typer) -> None:
    """Add these commands to ``fixionmail deliveries``."""
    for name, help_text in _HELP.items():
        app.command(name, help=help_text)(_bulk(f"{name}-delivery"))
    app.command()(resolve)


def _bulk(action: str) -> Callable[..., None]:
    def command(
        ids: Targets = None,
        all_matching: AllMatching = None,
        reason: Why = "no reason given",
        rate: Rate = None,
        dry_run: DryRun = False,
        yes: Yes = False,
        as_json: AsJson = False,
    ) -> None:
        if not ids and all_matching is None:
            raise InputError(
                "Say which deliveries: their ids, or --all-matching with a filter such as state:missed."
            )
        act(
            action,
            ids or (),
            all_matching=all_matching,
            reason=reason,
            rate=rate,
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
        )

    return command


def resolve(
    ids: Targets = None,
    all_matching: AllMatching = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for the audit log; needed with --sent and --not-sent.")
    ] = "",
    from_provider: Annotated[
        bool,
        typer.Option(
            "--from-provider", help="Ask Resend what it sent; of all that are uncertain, if none is named."
        ),
    ] = False,
    sent: Annotated[
        str | None, typer.Option(metavar="PROVIDER_ID", help="It was sent: Resend's id of the mail.")
    ] = None,
    not_sent: Annotated[
        bool, typer.Option("--not-sent", help="It was not sent; it may then be retried.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Settle uncertain deliveries: from the provider, or by what you know. Nothing is sent by this."""
    if [from_provider, sent is not None, not_sent].count(True) != 1:
        raise InputError("Say one of --from-provider, --sent PROVIDER_ID and --not-sent.")
    if not from_provider and not (reason and (ids or all_matching)):
        raise InputError("Name the deliveries and the --reason: this is your word, and goes on record.")
    if sent is not None and (all_matching or len(ids or ()) > 1):
        raise InputError("--sent names one mail: resolve one delivery at a time.")
    if all_matching is None and not ids:
        all_matching = "state:uncertain"
    act(
        "resolve-delivery" if from_provider else "resolve-not-sent" if not_sent else "resolve-sent",
        ids or (),
        all_matching=all_matching,
        reason=reason or "the provider was asked",
        detail=sent or "",
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
