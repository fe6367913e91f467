"""The ``fixionmail`` command: puts the commands together, and turns what goes wrong into words and exit codes."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from fixionmail import __version__
from fixionmail.commands import (
    audit,
    config,
    console,
    db,
    deliveries,
    demo,
    doctor,
    health,
    jobs,
    metrics,
    processes,
    queues,
    redis,
    run,
    scheduler,
    status,
    stories,
    subscribers,
    up,
    watch,
    workers,
)
from fixionmail.commands.output import clean
from fixionmail.errors import FixionMailError, InputError

app = typer.Typer(
    name="fixionmail",
    help="One freshly written story a day, mailed exactly once.",
    epilog="Exit codes: 0 ok, 1 a problem was found, 2 usage or settings, 3 partly done, 4 unreachable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up.up)
app.command()(demo.demo)
app.command()(run.run)
app.command()(console.console)
app.command()(status.status)
app.command()(health.health)
app.command()(doctor.doctor)
app.command()(metrics.metrics)
app.command()(watch.watch)
app.add_typer(subscribers.app, name="subscribers")
app.add_typer(stories.app, name="stories")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(jobs.app, name="jobs")
app.add_typer(queues.app, name="queues")
app.add_typer(workers.app, name="workers")
app.add_typer(scheduler.app, name="scheduler")
app.command()(audit.audit)
app.add_typer(db.app, name="db")
app.add_typer(processes.app, name="processes")
app.add_typer(redis.app, name="redis")
app.command()(config.config)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"FixionMail {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    _prepare_output()
    try:
        _run()
    except FixionMailError as error:
        typer.echo("\n".join(map(clean, str(error).splitlines())), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has left, as in ``| head``
        _discard_output()
        sys.exit(1)
    except OSError as error:  # a full disk, for example under the file that standard output goes to
        _discard_output()
        typer.echo(f"The operating system refuses: {error}.", err=True)
        sys.exit(1)


def _run() -> None:
    _require_text(sys.argv)
    try:
        app(prog_name="fixionmail")
    finally:
        sys.stdout.flush()


def _prepare_output() -> None:
    """Bear a closed standard output, and show what its encoding lacks as question marks."""
    if sys.stdout is None:  # closed by the caller, as in ``>&-``
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _discard_output() -> None:
    """Let go of what could not be written, so that the interpreter does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _require_text(arguments: list[str]) -> None:
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:
        raise InputError("An argument holds bytes that are not text in this terminal's encoding.") from None


if __name__ == "__main__":
    main()
