"""``fixionmail up``: everything on this machine, until Ctrl+C."""

from __future__ import annotations

import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fixionmail.ops.snapshot import Observer
    from fixionmail.processes.stack import Stack
    from fixionmail.settings import Settings
    from fixionmail.store import Store

LOOK_SECONDS = 2.0
HEADLESS_LOOKS = 15
"""Without a terminal, one line each so many looks, and whenever the mode has changed."""


def up(
    copies: Annotated[int, typer.Option(min=1, max=16, help="How many of each process.")] = 1,
) -> None:
    """Run the whole of FixionMail here: Postgres and Redis where none are named, loops, workers and the web service.

    The web service listens at PORT, or elsewhere where that is taken.

    In a terminal the console opens: q leaves it and stops all. Without one, Ctrl+C stops it. It goes on where it was
    the next time.
    """
    from fixionmail import logs
    from fixionmail.loops.service import stop_on_signals
    from fixionmail.mail.choice import sender_of
    from fixionmail.ops.target import where_mail_goes
    from fixionmail.processes.stack import running_stack
    from fixionmail.settings import load_settings
    from fixionmail.store import open_store

    settings = load_settings()
    sender_of(settings)  # a worker that cannot send would be started again and again
    logs.set_up("warning")
    with stop_on_signals() as stop:
        typer.echo("Starting ...")
        with (
            running_stack(settings, copies=copies, web=True) as stack,
            open_store(settings, max_connections=1) as store,
        ):
            typer.echo(f"Mail goes to {where_mail_goes(settings)}.")
            if stack.web_url:
                typer.echo(f"The web service is at {stack.web_url}.")
            typer.echo(f"Logs are in {settings.home / 'logs'}. Add readers with: fixionmail subscribers add")
            if sys.stdin.isatty() and sys.stdout.isatty():
                _open_console(settings, stack)
                typer.echo("Stopping: what has been begun is finished first ...")
            else:
                _tell(settings, store, stack, stop)
        typer.echo("Stopped.")


def _open_console(settings: Settings, stack: Stack) -> None:
    """Show the console until it is left."""
    from pydantic import SecretStr

    from console.app import ConsoleApp
    from console.live import open_deck
    from console.settings import load

    named = SecretStr(stack.redis_url) if stack.redis_url else None
    here = settings.model_copy(update={"redis_url": named, "enable_redis_queue": named is not None})
    deck = open_deck(None, here, prefix="rq", read_only=False)
    ConsoleApp(deck, load(settings.home)).run()


def _tell(settings: Settings, store: Store, stack: Stack, stop: threading.Event) -> None:
    """Without a terminal: a line now and then, until told to stop."""
    from fixionmail.ops.snapshot import Observer

    looks, mode_before = 0, ""
    with closing(Observer(redis_url=stack.redis_url, settings=settings, store=store)) as observer:
        while not stop.wait(LOOK_SECONDS):
            mode, line = _line(observer)
            if looks % HEADLESS_LOOKS == 0 or mode != mode_before:
                typer.echo(line)
            looks, mode_before = looks + 1, mode


def _line(observer: Observer) -> tuple[str, str]:
    """The mode, or why it is not known, and how things stand."""
    seen = observer.look()
    mode, funnel = seen.mode.value, seen.funnel.value
    if mode is None or funnel is None:
        return seen.database.error, seen.database.error
    counts = ", ".join(f"{n} {what}" for what, n in funnel.steps.items())
    return mode.mode, f"{seen.taken_at:%H:%M:%S} UTC  {mode.mode}: {counts}"
