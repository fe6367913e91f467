"""The smallest server an engine can run: it listens, says so in its log, and ends when asked to.

Run as ``idle_server.py PORT HABIT``; the habits are what real servers do on a bad day.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixionmail.engine import LOCALHOST, PORT_TAKEN
from fixionmail.errors import EngineError
from fixionmail.program import Command


@dataclass(frozen=True, kw_only=True)
class IdleServer:
    """Lives in ``folder``; ``habit`` is one of punctual, mute, stubborn and doomed."""

    folder: Path
    habit: str = "punctual"
    title: str = "Idle"
    stop_signal: signal.Signals = signal.SIGTERM
    ready_line: str = "ready on"
    passing_troubles: Sequence[str] = (PORT_TAKEN,)

    def prepare(self) -> None:
        with (self.folder / "starts").open("a") as starts:
            starts.write("started\n")

    def command(self, port: int) -> Command:
        return Command(argv=(sys.executable, "-P", __file__, str(port), self.habit), cwd=self.folder)

    def greet(self, port: int) -> None:
        try:
            socket.create_connection((LOCALHOST, port), timeout=5).close()
        except OSError as error:
            raise EngineError(f"Idle does not answer: {error}") from error


def serve(port: int, habit: str) -> None:
    if habit == "doomed":
        sys.exit("FATAL: the data is from another planet")
    if habit == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOCALHOST, port))
        listener.listen()
        if habit != "mute":
            sys.stdout.write(f"ready on {port}\n")
            sys.stdout.flush()
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
