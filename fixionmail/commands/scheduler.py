"""``fixionmail scheduler pause|resume``: whether anything new is planned."""

from __future__ import annotations

import typer

from fixionmail.commands.acting import DryRun, Why, act
from fixionmail.commands.output import AsJson
from fixionmail.commands.session import Yes

app = typer.Typer(help="Let the scheduler rest, and go on.", no_args_is_help=True)


@app.command()
def pause(reason: Why = "", dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Plan no stories until resumed; what is planned is written and mailed."""
    act("pause-scheduler", (), reason=reason, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def resume(reason: Why = "", dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Plan stories again."""
    act("resume-scheduler", (), reason=reason, dry_run=dry_run, yes=yes, as_json=as_json)
