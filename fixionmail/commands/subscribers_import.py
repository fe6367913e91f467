"""``fixionmail subscribers import``: many subscribers from a CSV file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from fixionmail.commands.ending import ended_between_chunks
from fixionmail.commands.output import AsJson, clean, print_json

if TYPE_CHECKING:
    from fixionmail.subscribers.csv_import import Imported

BAD_LINES_SHOWN = 50
INTERRUPTED = 130
STOPPING = "Stopping after the page in hand. Ctrl+C again stops at once."


def import_file(
    file: Annotated[Path, typer.Argument(help="CSV file, UTF-8, with a header line.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Sign up everybody in a CSV file.

    The header names the columns: email, timezone and delivery_time (HH:MM, on the subscriber's clock), and if you
    like genre, setting and character. Bad lines are reported and left out. Subscribers that are known already are
    left as they are, so the same file can be imported again.

    Exit codes: 0 all lines are good, 3 some are bad, 2 nothing could be read.
    """
    from fixionmail.errors import FixionMailError

    done = _Done(as_json=as_json)
    try:
        with _opened(file) as stream:
            _import(stream, done)
    except FixionMailError:
        if done.pages:
            done.tell(finished=False)
        raise
    done.tell(finished=not done.stopped)
    raise typer.Exit(done.exit_code())


class _Done:
    """What has been imported so far."""

    def __init__(self, *, as_json: bool) -> None:
        from fixionmail.subscribers.csv_import import Imported

        self.total = Imported()
        self.pages = 0
        self.stopped = False
        self._as_json = as_json

    def add(self, page: Imported) -> None:
        self.total += page
        self.pages += 1

    def exit_code(self) -> int:
        if self.stopped:
            return INTERRUPTED
        if not self.total.good:
            return 2
        return 3 if self.total.bad else 0

    def tell(self, *, finished: bool) -> None:
        if self._as_json:
            self._print_json(finished)
        else:
            self._print_words(finished)

    def _print_json(self, finished: bool) -> None:
        total = self.total
        print_json(
            {
                "finished": finished,
                "added": total.added,
                "restored": total.restored,
                "known": total.known,
                "bad": [{"line": bad.line, "reason": bad.reason} for bad in total.bad],
            }
        )

    def _print_words(self, finished: bool) -> None:
        total = self.total
        for bad in total.bad[:BAD_LINES_SHOWN]:
            typer.echo(f"line {bad.line}: {clean(bad.reason)}", err=True)
        if len(total.bad) > BAD_LINES_SHOWN:
            typer.echo(f"... and {len(total.bad) - BAD_LINES_SHOWN:,} more bad lines: see --json.", err=True)
        if not finished:
            typer.echo(
                "Stopped before the end of the file; what is counted here is in. Import it again to go on."
            )
        elif not total.good:
            typer.echo("The file holds no subscriber that could be read.")
        typer.echo(
            f"{total.added:,} added, {total.restored:,} taken back, {total.known:,} known already, "
            f"{len(total.bad):,} bad lines."
        )


def _opened(file: Path) -> TextIO:
    from fixionmail.errors import InputError
    from fixionmail.subscribers.csv_file import ENCODING, ENCODING_ERRORS

    try:
        return file.open(encoding=ENCODING, errors=ENCODING_ERRORS)
    except OSError as error:
        raise InputError(f"{clean(str(file))} cannot be read: {error.strerror or error}.") from None


def _import(stream: TextIO, done: _Done) -> None:
    from fixionmail.settings import load_settings
    from fixionmail.store import open_store
    from fixionmail.subscribers.csv_file import read_sign_ups
    from fixionmail.subscribers.csv_import import import_pages

    lines = read_sign_ups(stream)
    with (
        open_store(load_settings(), max_connections=1) as store,
        ended_between_chunks(signal.SIGINT, words=STOPPING) as pause,
        _progress(stream) as advance,
    ):
        for page in import_pages(store, lines, datetime.now(UTC)):
            done.add(page)
            advance()
            try:
                pause(0)
            except KeyboardInterrupt:
                done.stopped = True
                return


@contextmanager
def _progress(stream: TextIO) -> Iterator[Callable[[], None]]:
    """A bar over the file's bytes on a terminal, nothing elsewhere; call what it yields to move it on."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("importing"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("", total=os.fstat(stream.fileno()).st_size or None)
        yield lambda: bar.update(task, completed=stream.buffer.tell() if stream.seekable() else None)
