"""What all screens above the views have in common: keys from the one table, and a bar that names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from console.commands import BY_ID

if TYPE_CHECKING:
    from textual.screen import Screen

    from console.app import ConsoleApp


def console_of(screen: Screen[object]) -> ConsoleApp:
    """The app, as what it is."""
    return cast("ConsoleApp", screen.app)


def usable(command_id: str, place: str) -> bool:
    """The command works in this place."""
    return BY_ID[command_id].works_in(place)


def keys_of(screen: Screen[object]) -> Mapping[str, str]:
    """The keys that the operator has set."""
    return console_of(screen).settings.keys
