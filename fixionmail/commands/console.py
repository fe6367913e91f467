"""``fixionmail console``: the operator's screen, in this terminal or in a browser on this machine."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fixionmail.commands.looking import KeyPrefix, RedisUrl

if TYPE_CHECKING:
    from console.feed import Deck


class ThemeName(StrEnum):
    """The console's themes."""

    DARK = "dark"
    LIGHT = "light"
    SIXTEEN = "16"


def console(
    redis_url: RedisUrl = None,
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
        from console.serving import serve as serve_in_browser

        serve_in_browser(_arguments(redis_url, key_prefix, demo, read_only, theme), port, typer.echo)
        return
    from dataclasses import replace

    from console.app import ConsoleApp
    from console.settings import load
    from fixionmail.settings import load_settings

    home = load_settings().home
    settings = load(home)
    if theme is not None:
        settings = replace(settings, theme=str(theme))
    ConsoleApp(_deck(redis_url, key_prefix, demo, read_only), settings, read_only=read_only).run()


def _deck(redis_url: str | None, key_prefix: str, demo: bool, read_only: bool) -> Deck:
    if demo:
        from console.canned import CannedDeck

        return CannedDeck(read_only=read_only)
    from console.live import open_deck

    return open_deck(redis_url, prefix=key_prefix, read_only=read_only)


def _arguments(
    redis_url: str | None, key_prefix: str, demo: bool, read_only: bool, theme: ThemeName | None
) -> list[str]:
    """The same console, as a command line without --serve; the URL goes into the environment, not in here."""
    words = ["console", "--key-prefix", key_prefix]
    words += ["--demo"] if demo else []
    words += ["--read-only"] if read_only else []
    words += ["--theme", str(theme)] if theme else []
    return words
