"""What commands on the database need: the store, and somebody's yes before a change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fixionmail.store import Store

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@contextmanager
def opened_store() -> Iterator[Store]:
    """The store that the settings name."""
    from fixionmail.settings import load_settings
    from fixionmail.store import open_store

    with open_store(load_settings(), max_connections=1) as store:
        yield store


@contextmanager
def opened_to_look() -> Iterator[Store]:
    """The store that the settings name, for a command that only looks: it makes no database.

    Raises:
        UnreachableError: none is named, and no bundled one was made.
    """
    from fixionmail.settings import load_settings
    from fixionmail.store import open_store, require_made

    settings = load_settings()
    require_made(settings)
    with open_store(settings, max_connections=1) as store:
        yield store


def confirm(question: str) -> None:
    """Go on only when somebody at the terminal says yes.

    Raises:
        InputError: nobody is there to ask.
    """
    import sys

    from fixionmail.errors import InputError

    if not sys.stdin.isatty():
        raise InputError(f"{question} Nobody is here to ask: say --yes.")
    typer.confirm(question, abort=True, err=True)
