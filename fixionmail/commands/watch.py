"""``fixionmail watch``: look again and again, and tell a webhook what has gone wrong and what is over."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixionmail.commands.output import clean

if TYPE_CHECKING:
    from fixionmail.ops.watching import Alert

HELD_BACK = 1000
"""Alerts that wait for a webhook that does not answer; the oldest are given up."""
PATIENCE_SECONDS = 10.0


def watch(
    alert: Annotated[
        str | None, typer.Option(metavar="URL", help="POST each alert there as JSON; without it, print them.")
    ] = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 30.0,
    looks: Annotated[int, typer.Option(min=1, help="So many looks in a row before something is told.")] = 2,
    notes: Annotated[bool, typer.Option("--notes", help="Tell of what is only good to know, too.")] = False,
) -> None:
    """Tell once when trouble has lasted, once when it is over. Runs until Ctrl+C or SIGTERM."""
    from fixionmail.ops import machine
    from fixionmail.ops.checks import find
    from fixionmail.ops.snapshot import Observer
    from fixionmail.ops.target import redis_url_of
    from fixionmail.ops.views.findings import Harm
    from fixionmail.ops.watching import Watch
    from fixionmail.settings import load_settings

    hook = _checked(alert)
    settings = load_settings()
    observer = Observer(redis_url=redis_url_of(settings), settings=settings)
    watching = Watch(looks=looks, least=Harm.NOTE if notes else Harm.COST)
    waiting: deque[dict[str, Any]] = deque(maxlen=HELD_BACK)
    before = None
    try:
        while True:
            seen = observer.look(every_seconds=every)
            found = find(seen, before, machine.look(settings.home))
            before = seen
            for told in watching.take(found, seen.taken_at, seen.unseen):
                _print(told)
                waiting.append(told.to_json(seen.target.environment))
            if hook:
                _post(hook, waiting)
            time.sleep(every)
    finally:
        observer.close()


def _checked(url: str | None) -> str | None:
    import httpx

    from fixionmail.errors import InputError

    if url is None:
        return None
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL()
    if parts.scheme not in ("http", "https") or not parts.host:
        raise InputError("--alert needs an address like https://example.com/hook.")
    return url


def _post(url: str, waiting: deque[dict[str, Any]]) -> None:
    """Hand over what waits, oldest first; what is not taken waits for the next look."""
    import httpx

    while waiting:
        try:
            # What else it says is not read: an answer without an end would keep everybody from the next alert.
            with httpx.stream("POST", url, json=waiting[0], timeout=PATIENCE_SECONDS) as answer:
                pass
        except httpx.HTTPError as error:
            typer.echo(f"The webhook does not answer ({type(error).__name__}); trying again.", err=True)
            return
        if not answer.is_success:
            typer.echo(f"The webhook answers {answer.status_code}; trying again.", err=True)
            return
        waiting.popleft()


def _print(told: Alert) -> None:
    moment: datetime = told.at
    finding = told.finding
    typer.echo(
        clean(f"{moment:%Y-%m-%d %H:%M:%S} {told.what}: {finding.harm.name} {finding.title}. {finding.cause}")
    )
