"""``fixionmail console``: the operator's screen, in this terminal or in a browser on this machine."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fixionmail.commands.looking import KeyPrefix

if TYPE_CHECKING:
    from console.feed import Deck
    from fixionmail.settings import Settings

URL_VARIABLE = "FIXIONMAIL_CONSOLE_REDIS_URL"
"""Hands --redis-url on to the console in a browser, so that its password is in no command line."""


class ThemeName(StrEnum):
    """The console's themes."""

    DARK = "dark"
    LIGHT = "light"
    SIXTEEN = "16"


def console(
    redis_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar=URL_VARIABLE,
            show_envvar=False,
            help="Any RQ deployment's Redis; without it, the deployment of the settings.",
        ),
    ] = None,
    key_prefix: KeyPrefix = "rq",
    demo: Annotated[bool, typer.Option("--demo", help="Show a deployment that only pretends.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every change.")] = False,
    theme: Annotated[ThemeName | None, typer.Option(help="Instead of the one in console.toml.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="In a browser on this machine instead.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where --serve listens, on 127.0.0.1.")] = 8017,
) -> None:
    """Open the console: queues, jobs, failures, workers, deliveries, processes, and what to do about them.

    With --redis-url it looks at any RQ deployment, without a database.
    """
    if serve:
        _serve(redis_url, _arguments(key_prefix, demo, read_only, theme), port)
        return
    import gc
    from dataclasses import replace

    gc.disable()  # the app collects once it has painted; looking through imports would only take time
    from console.app import ConsoleApp
    from console.settings import load
    from fixionmail.settings import load_settings

    settings = load_settings()
    chosen = load(settings.home)
    if theme is not None:
        chosen = replace(chosen, theme=str(theme))
    deck = _demo(read_only) if demo else _deck(redis_url, settings, key_prefix, read_only)
    ConsoleApp(deck, chosen, read_only=read_only).run()


def _demo(read_only: bool) -> Deck:
    from console.canned import CannedDeck

    return CannedDeck(read_only=read_only)


def _deck(redis_url: str | None, settings: Settings, key_prefix: str, read_only: bool) -> Deck:
    from console.live import open_deck
    from fixionmail.commands.looking import wanted_url

    alone = wanted_url(redis_url) if redis_url else None
    return open_deck(alone, settings, prefix=key_prefix, read_only=read_only)


def _serve(redis_url: str | None, arguments: list[str], port: int) -> None:
    import os

    from console.serving import serve

    if redis_url is not None:
        os.environ[URL_VARIABLE] = redis_url
    serve(arguments, port, typer.echo)


def _arguments(key_prefix: str, demo: bool, read_only: bool, theme: ThemeName | None) -> list[str]:
    """The same console as a command line without --serve and without secrets."""
    words = ["console", "--key-prefix", key_prefix]
    words += ["--demo"] if demo else []
    words += ["--read-only"] if read_only else []
    words += ["--theme", str(theme)] if theme else []
    return words
