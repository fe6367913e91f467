"""What commands that look have in common: which Redis, and looking again until Ctrl+C."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from fixionmail.commands.ending import ended_in_order
from fixionmail.commands.output import console, print_json

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

    from fixionmail.errors import FixionMailError
    from fixionmail.ops.connection import RedisReader
    from fixionmail.ops.snapshot import Observer
    from fixionmail.ops.views.section import Section

WATCH_SECONDS = 2.0

RedisUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Any RQ deployment's Redis; without it, the one of the settings."),
]
KeyPrefix = Annotated[
    str, typer.Option(metavar="TEXT", envvar="RQ_KEY_PREFIX", help="What RQ's keys begin with.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl+C.")]


@contextmanager
def opened_reader(redis_url: str | None, prefix: str) -> Iterator[RedisReader]:
    """The Redis that is named, or that of the settings.

    Raises:
        InputError: there is none, or the name cannot be used.
    """
    from fixionmail.ops.connection import RedisReader

    check_prefix(prefix)
    reader = RedisReader(wanted_url(redis_url), prefix=prefix)
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def opened_observer(redis_url: str | None = None, prefix: str | None = None) -> Iterator[Observer]:
    """The deployment of the settings; with ``redis_url`` that Redis alone. ``prefix``: None is that of our workers.

    Raises:
        InputError: the name cannot be used.
    """
    from fixionmail.jobs.worker.keys import PREFIX
    from fixionmail.ops.snapshot import Observer
    from fixionmail.ops.target import redis_url_of
    from fixionmail.settings import load_settings

    check_prefix(prefix or PREFIX)
    settings = load_settings() if redis_url is None else None
    url = redis_url_of(settings) if settings else wanted_url(redis_url)
    with closing(Observer(redis_url=url, settings=settings, prefix=prefix or PREFIX)) as observer:
        yield observer


def error_of(section: Section[Any]) -> FixionMailError | None:
    """Why a section of a look failed, as an error with its exit code; None when it did not."""
    from fixionmail import errors

    if not section.error:
        return None
    kind: type[FixionMailError] = getattr(
        errors, section.error_type or "UnreachableError", errors.FixionMailError
    )
    return kind(section.error)


def check_prefix(prefix: str) -> None:
    """Raise InputError when RQ would not take this prefix."""
    from fixionmail.errors import InputError

    if not re.fullmatch(r"[A-Za-z0-9_.:{}-]+", prefix):
        raise InputError(f"{prefix!r} is no prefix of RQ's: letters, digits and _ . : - {{ }} are allowed.")


def wanted_url(redis_url: str | None) -> str:
    """The URL that was typed, checked as a setting is, or that of the settings."""
    from fixionmail.errors import InputError, SettingsError
    from fixionmail.ops.target import redis_url_of
    from fixionmail.settings import checked_redis_url, load_settings

    if redis_url is not None:
        try:
            return checked_redis_url(redis_url)
        except SettingsError as error:
            raise InputError(f"--redis-url {error}.") from None
    found = redis_url_of(load_settings())
    if found is None:
        raise InputError("There is no Redis to look at: set REDIS_URL, or name one with --redis-url.")
    return found


def show(
    look: Callable[[], tuple[Mapping[str, Any], RenderableType]], *, as_json: bool, watch: bool = False
) -> Mapping[str, Any]:
    """Print what ``look`` returns, as JSON or as it is for people; once, or again and again. Returns the JSON."""
    if not watch:
        document, view = look()
        print_json(document) if as_json else console().print(view)
        return document
    if as_json:
        while True:
            print_json(look()[0], on_one_line=True)
            time.sleep(WATCH_SECONDS)
    _keep_showing(lambda: look()[1])


def _keep_showing(look: Callable[[], RenderableType]) -> NoReturn:
    """Show what ``look`` returns again and again: in its place in a terminal, one below the other elsewhere."""
    from rich.live import Live

    screen = console()
    if not screen.is_terminal:
        while True:
            screen.print(look(), "")
            screen.file.flush()
            time.sleep(WATCH_SECONDS)
    with ended_in_order(), Live(look(), console=screen, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            live.update(look(), refresh=True)


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that tells enough; nothing when nobody knows."""
    return "" if moment is None else duration((now - moment).total_seconds())


def duration(seconds: float | None) -> str:
    """A span of time, in the largest unit that tells enough; nothing when nobody knows."""
    if seconds is None:
        return ""
    sign, seconds = ("in " if seconds < 0 else ""), abs(seconds)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{sign}{seconds / size:.0f} {unit}"
    return f"{sign}{seconds:.0f} s"
