"""``fixionmail workers drain|stop|suspend|resume``: sending workers home, or to rest."""

from __future__ import annotations

import typer

from fixionmail.commands.acting import on_all, on_named

_NEEDS = "Say which workers; fixionmail workers list names them."
_HELP = {
    "drain": "Let these workers of ours finish what they run, however long it takes, take nothing more, and end.",
    "stop": "Tell these workers to stop, as RQ's shutdown command does.",
    "suspend": "Let no worker of this Redis take jobs, as rq suspend does.",
    "resume": "Undo suspend, as rq resume does.",
}


def register(app: typer.Typer) -> None:
    """Add these commands to ``fixionmail workers``."""
    for name in ("drain", "stop"):
        app.command(name, help=_HELP[name])(on_named(f"{name}-worker", _NEEDS))
    for name in ("suspend", "resume"):
        app.command(name, help=_HELP[name])(on_all(f"{name}-workers"))
