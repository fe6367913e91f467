"""The palette: every command that can be used right now, from the one table, and the themes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.commands import Command, commands_in, key_of
from console.theme import THEMES

Callback = Callable[[], Awaitable[None]]


class OpsCommands(Provider):
    """The commands of the place one is in, then the themes."""

    def _offered(self) -> Iterator[tuple[str, str, Callback]]:
        screen = self.screen
        place = getattr(screen, "place", "")
        keys = getattr(screen, "keys", {})
        for command in commands_in(place):
            if command.id not in ("palette", "back"):
                name = f"{command.label[:1].upper()}{command.label[1:]}  ({key_of(command, keys)})"
                yield name, command.about, partial(self._use, command)
        for theme in THEMES:
            about = f"Show the console in {theme.name}."
            yield f"Theme: {theme.name}", about, partial(self._wear, theme.name)

    async def discover(self) -> Hits:
        """All of them."""
        for name, about, use in self._offered():
            yield DiscoveryHit(name, use, help=about)

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for name, about, use in self._offered():
            score = max(matcher.match(name), matcher.match(about) * 0.9)
            if score > 0:
                yield Hit(score, matcher.highlight(name), use, help=about)

    async def _use(self, command: Command) -> None:
        await self.screen.run_action(f"command('{command.id}')")

    async def _wear(self, theme: str) -> None:
        self.app.theme = theme
