"""How a screen gets at the console that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from textual.screen import Screen

    from console.app import ConsoleApp


def console_of(screen: Screen[Any]) -> ConsoleApp:
    """The app, as what it is."""
    return cast("ConsoleApp", screen.app)


def keys_of(screen: Screen[Any]) -> Mapping[str, str]:
    """The keys that the operator has set."""
    return console_of(screen).settings.keys
