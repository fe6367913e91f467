"""A console on canned data with a fixed clock, driven by key presses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from console.app import ConsoleApp
from console.canned import CannedDeck
from console.feed import Deck
from console.settings import ConsoleSettings
from console.widgets.table import Table

NOON = datetime(2026, 11, 24, 12, 4, 31, tzinfo=UTC)
LARGE, SMALL = (160, 48), (80, 24)

Scene = Callable[["Stage"], Awaitable[None]]


def canned(**options: Any) -> CannedDeck:
    """A deployment that stands still."""
    return CannedDeck(**{"now": lambda: NOON, "step_seconds": 0.0, **options})


async def settled(app: ConsoleApp, pilot: Pilot[None]) -> None:
    """Wait until every question is answered and drawn, those included that an answer led to."""
    await pilot.pause()
    while app.is_asking:
        while app.is_asking:
            await asyncio.sleep(0.002)
        await pilot.pause()


class Stage:
    """The running console, and what a test asks of it."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def settle(self) -> None:
        """Wait until every question is answered and drawn."""
        await settled(self.app, self.pilot)

    async def press(self, *keys: str) -> None:
        """Press keys, each after the one before has had its effect."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text: str) -> None:
        """Type into the line that has the focus."""
        await self.press(*("space" if mark == " " else mark for mark in text))

    async def look(self) -> None:
        """Look at the deployment again."""
        self.app.look_now()
        await self.settle()

    def table(self, selector: str) -> Table:
        """A table of the main screen."""
        return self.app.main.query_one(selector, Table)

    def words(self, selector: str) -> str:
        """What a static text of the screen on top says."""
        return str(self.app.screen.query_one(selector, Static).render())

    def screen_text(self) -> str:
        """All that can be read on the screen."""
        height = self.app.size.height
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips[:height])

    @property
    def toasts(self) -> list[str]:
        """The messages that are shown."""
        return [notification.message for notification in self.app._notifications]


def play(
    scene: Scene,
    deck: Deck | None = None,
    *,
    size: tuple[int, int] = LARGE,
    settings: ConsoleSettings | None = None,
    **options: Any,
) -> None:
    """Run a console and let ``scene`` use it."""
    app = ConsoleApp(deck or canned(), settings, **{"live": False, **options})

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            stage = Stage(app, pilot)
            await stage.settle()
            await scene(stage)

    asyncio.run(run())
