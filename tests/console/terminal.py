"""A real terminal, by tmux: what is typed on it, what it shows, and in which state a program has left it."""

from __future__ import annotations

import re
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0


@dataclass(frozen=True)
class Screen:
    """A terminal, and who types on it."""

    socket: str

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.socket, *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", "-t", "console", key)
            time.sleep(0.2)  # as fast as a person types

    def text(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "console")

    def until(self, pattern: str, seconds: float = SECONDS) -> str:
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            if re.search(pattern, text := self.text()):
                return text
            time.sleep(0.2)
        raise AssertionError(f"{pattern} never came:\n{self.text()}")

    def until_gone(self, pattern: str, seconds: float = SECONDS) -> None:
        give_up_at = time.monotonic() + seconds
        while re.search(pattern, text := self.text()):
            assert time.monotonic() < give_up_at, f"{pattern} stays:\n{text}"
            time.sleep(0.2)

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-t", "console", "-x", str(columns), "-y", str(rows))

    def tells(self, *names: str) -> list[str]:
        """What tmux says of the terminal, such as ``alternate_on``."""
        formats = " ".join(f"#{{{name}}}" for name in names)
        return self.tmux("display-message", "-p", "-t", "console", formats).split()


@contextmanager
def terminal(program: Sequence[str], columns: int = 120, rows: int = 36) -> Iterator[Screen]:
    """A terminal that runs a program."""
    shown = Screen(f"fixionmail-{uuid.uuid4().hex[:8]}")
    size = ("-x", str(columns), "-y", str(rows))
    shown.tmux("new-session", "-d", "-s", "console", *size, "-c", str(Path.cwd()), *program)
    try:
        yield shown
    finally:
        shown.tmux("kill-server")  # of a socket that only this test knows
