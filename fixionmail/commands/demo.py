"""``fixionmail demo``: proof in a minute that every story arrives, once."""

from __future__ import annotations

import time
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fixionmail.commands.output import AsJson, print_json

if TYPE_CHECKING:
    from fixionmail.demo import Demo, DemoResult, Progress


class Mode(StrEnum):
    """Who does the work."""

    QUEUE = "queue"
    FALLBACK = "fallback"


def demo(
    subscribers: Annotated[int, typer.Option(min=1, max=100_000, help="How many readers, all due now.")] = 20,
    mode: Annotated[Mode, typer.Option(help="queue: RQ workers. fallback: no Redis.")] = Mode.QUEUE,
    copies: Annotated[int, typer.Option(min=1, max=8, help="How many of each process.")] = 1,
    timeout: Annotated[float, typer.Option(min=5, help="Seconds to wait for the last mail.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Make readers in many zones who are due now, run everything, and count the mails in the outbox.

    It uses a database, a Redis and an outbox of its own under FIXIONMAIL_HOME/demo, and leaves nothing running.
    """
    from fixionmail import logs
    from fixionmail.demo import Demo
    from fixionmail.settings import load_settings

    settings = load_settings()
    logs.set_up("warning")
    home = settings.home / "demo" / time.strftime("%Y-%m-%d_%H-%M-%S")
    wanted = Demo(
        home=home, subscribers=subscribers, queue=mode is Mode.QUEUE, copies=copies, patience_seconds=timeout
    )
    result = wanted.run() if as_json else _with_progress(wanted)
    _tell(result, as_json)
    raise typer.Exit(0 if result.is_good else 1)


def _with_progress(wanted: Demo) -> DemoResult:
    from dataclasses import replace

    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    ) as bars:
        written = bars.add_task("written", total=wanted.subscribers)
        sent = bars.add_task("sent", total=wanted.subscribers)

        def show(progress: Progress) -> None:
            bars.update(written, completed=progress.stories)
            bars.update(sent, completed=progress.sent)

        return replace(wanted, on_progress=show).run()


def _tell(result: DemoResult, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
        return
    typer.echo(
        f"{result.subscribers} subscribers, {result.stories} stories, {result.sent} sent, "
        f"{result.duplicates} duplicates, {result.seconds} s in {result.mode} mode."
    )
    typer.echo(f"The mails are in {result.outbox}")
    if not result.is_good:
        typer.echo(f"Not everybody has one mail: see the logs in {result.outbox.parent / 'logs'}", err=True)
