"""``fixionmail db repair``: mend what slipped in while a constraint was not in force."""

from __future__ import annotations

from typing import Annotated

import typer

from fixionmail.commands.acting import DryRun, Why, act
from fixionmail.commands.output import AsJson
from fixionmail.commands.session import Yes


def repair(
    subscribers: Annotated[
        bool,
        typer.Option("--subscribers", help="Subscribers stored twice and jobs without one, not deliveries."),
    ] = False,
    reason: Why = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Keep the first of deliveries and jobs that are there twice, set the others aside on record.

    Then constraints are put in force again.
    """
    name = "repair-users" if subscribers else "repair-duplicates"
    act(name, (), reason=reason, yes=yes, dry_run=dry_run, as_json=as_json)
