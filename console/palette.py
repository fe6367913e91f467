"""The palette: every command that can be used right now, from the one table."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.commands import Command, commands_in, key_of


class OpsCommands(Provider):
    """The commands of the place one is in."""

    def _offered(self) -> list[tuple[str, str, Command]]:
        screen = self.screen
        place = getattr(screen, "place", "")
        keys = getattr(screen, "keys", {})
        return [
            (
                f"{command.label[:1].upper()}{command.label[1:]}  ({key_of(command, keys)})",
                command.about,
                command,
            )
            for command in commands_in(place)
            if command.id not in ("palette", "back")
        ]

    async def discover(self) -> Hits:
        """All of them."""
        for name, about, command in self._offered():
            yield DiscoveryHit(name, partial(self._use, command), help=about)

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for name, about, command in self._offered():
            score = max(matcher.match(name), matcher.match(about) * 0.9)
            if score > 0:
                yield Hit(score, matcher.highlight(name), partial(self._use, command), help=about)

    async def _use(self, command: Command) -> None:
        await self.screen.run_action(f"command('{command.id}')")
