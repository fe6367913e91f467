"""Makes the pictures of the console in ``docs/pictures`` from the pretended deployment: ``make pictures``."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
NOON = datetime(2026, 11, 24, 12, 4, 31, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A screen: the keys that lead to it, and how it is shown."""

    name: str
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = (140, 40)
    theme: str = "dark"
    troubled: bool = True


PICTURES = (
    Picture(name="overview"),
    Picture(name="overview-calm", troubled=False),
    Picture(name="overview-light", theme="light"),
    Picture(name="overview-small", size=(80, 24)),
    Picture(name="jobs", keys=("2", "f", "f", "f", "down", "down")),
    Picture(name="job", keys=("2", "f", "f", "f", "enter")),
    Picture(name="failures", keys=("3", "down")),
    Picture(name="workers", keys=("4", "down")),
    Picture(name="deliveries", keys=("5",)),
    Picture(name="stuck", keys=("6", "down")),
    Picture(name="processes", keys=("7", "down")),
    Picture(name="health", keys=("8",)),
    Picture(name="change", keys=("G",)),
    Picture(name="help", keys=("4", "question_mark"), size=(120, 40)),
)


async def take(picture: Picture, folder: Path) -> None:
    """Run the console, press the keys, and save what is seen."""
    from console.app import ConsoleApp
    from console.canned import CannedDeck
    from console.settings import ConsoleSettings
    from tests.console.stage import settled

    deck = CannedDeck(now=lambda: NOON, step_seconds=0.0, troubled=picture.troubled)
    app = ConsoleApp(deck, ConsoleSettings(theme=picture.theme), live=False)
    async with app.run_test(size=picture.size) as pilot:
        for key in ("", *picture.keys):
            if key:
                await pilot.press(key)
            await settled(app, pilot)
        app.save_screenshot(f"{picture.name}.svg", str(folder))


def main() -> None:
    """Make all pictures."""
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        asyncio.run(take(picture, FOLDER))


if __name__ == "__main__":
    main()
