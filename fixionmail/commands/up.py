"""``fixionmail up``: everything on this machine, until Ctrl+C."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fixionmail.processes.stack import Stack
    from fixionmail.settings import Settings
    from fixionmail.store import Store

LOOK_SECONDS = 2.0
HEADLESS_LOOKS = 15
"""Without a terminal, one line each so many looks, and whenever the mode has changed."""


def up(
    copies: Annotated[int, typer.Option(min=1, max=16, help="How many of each process.")] = 1,
) -> None:
    """Run the whole of FixionMail here: Postgres and Redis where none are named, loops and workers.

    Stop it with Ctrl+C; it goes on where it was the next time.
    """
    from fixionmail import logs
    from fixionmail.loops.service import stop_on_signals
    from fixionmail.ops.target import where_mail_goes
    from fixionmail.processes.stack import running_stack
    from fixionmail.settings import load_settings
    from fixionmail.store import open_store

    settings = load_settings()
    logs.set_up("warning")
    with stop_on_signals() as stop:
        typer.echo("Starting ...")
        with (
            running_stack(settings, copies=copies) as stack,
            open_store(settings, max_connections=1) as store,
        ):
            typer.echo(f"Mail goes to {where_mail_goes(settings)}.")
            typer.echo(f"Logs are in {settings.home / 'logs'}. Add readers with: fixionmail subscribers add")
            _show(settings, store, stack, stop)
        typer.echo("Stopped.")


def _show(settings: Settings, store: Store, stack: Stack, stop: threading.Event) -> None:
    """Show live status until told to stop."""
    import sys

    from rich.console import Console
    from rich.live import Live

    if sys.stdout.isatty():
        with Live(console=Console(), auto_refresh=False) as live:
            while not stop.wait(LOOK_SECONDS if live.renderable else 0.5):
                live.update(_view(settings, store, stack), refresh=True)
        typer.echo("Stopping: what has been begun is finished first ...")
        return
    looks, mode_before = 0, ""
    while not stop.wait(LOOK_SECONDS):
        mode, line = _line(settings, store, stack)
        if looks % HEADLESS_LOOKS == 0 or mode != mode_before:
            typer.echo(line)
        looks, mode_before = looks + 1, mode


def _view(settings: Settings, store: Store, stack: Stack) -> RenderableType:
    from rich.text import Text

    from fixionmail.commands.status import view
    from fixionmail.errors import FixionMailError
    from fixionmail.ops.status import look

    try:
        return view(look(settings, store, stack.redis_url))
    except FixionMailError as error:
        return Text(str(error), style="red")


def _line(settings: Settings, store: Store, stack: Stack) -> tuple[str, str]:
    """The mode, or why it is not known, and how things stand."""
    from fixionmail.errors import FixionMailError
    from fixionmail.ops.status import funnel, look

    try:
        seen = look(settings, store, stack.redis_url)
    except FixionMailError as error:
        return str(error), str(error)
    counts = ", ".join(f"{n} {what}" for what, n in funnel(seen.overview).items())
    return seen.mode, f"{seen.overview.now:%H:%M:%S} UTC  {seen.mode}: {counts}"
