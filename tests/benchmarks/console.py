"""The console on a terminal: launch to first data, key press to repaint, memory and CPU at a look every two seconds.

``python -m tests.benchmarks.console [--redis-url URL]``; without a URL it looks at the deployment that pretends.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

ROWS, COLUMNS = 48, 160
KEYS = 200
CPU_SECONDS = 20.0
GIVE_UP_SECONDS = 20.0
FIRST_DATA = b"Queues"
HOLDS_DATA = b"every"
"""Stands in the head of the screen once a look has come."""


@dataclass
class Terminal:
    """A console on a terminal of its own."""

    master: int
    process: subprocess.Popen[bytes]

    def read(self, seconds: float) -> bytes:
        """What it writes within so many seconds, at once when it writes."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        return os.read(self.master, 1 << 16) if ready else b""

    def until(self, words: bytes) -> float:
        """Seconds until it has written these words."""
        began, seen = time.perf_counter(), b""
        while words not in seen:
            seen += self.read(0.5)
            if time.perf_counter() - began > GIVE_UP_SECONDS:
                raise TimeoutError(words.decode())
        return time.perf_counter() - began

    def quiet(self, seconds: float = 0.05) -> None:
        """Read on until it has written nothing for a moment."""
        while self.read(seconds):
            pass

    def press(self, key: bytes) -> float:
        """Seconds from a key to the first byte of the repaint."""
        self.quiet()
        began = time.perf_counter()
        os.write(self.master, key)
        while not self.read(1.0):
            if time.perf_counter() - began > GIVE_UP_SECONDS:
                raise TimeoutError(repr(key))
        return time.perf_counter() - began


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """A console with these arguments, in an empty home."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "TERM": "xterm-256color", "FIXIONMAIL_HOME": home}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "console", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        try:
            yield Terminal(master, process)
        finally:
            process.terminate()
            process.wait(10)
            os.close(master)


def main() -> None:
    """Measure and tell."""
    arguments = sys.argv[1:] or ["--demo"]
    began = time.perf_counter()
    with terminal(*arguments) as seen:
        seen.until(FIRST_DATA)
        painted = time.perf_counter() - began
        seen.until(HOLDS_DATA)
        data = time.perf_counter() - began
        seen.quiet(0.5)
        os.write(seen.master, b"2")
        time.sleep(1.5)
        took = sorted(
            seen.press(b"\x1b[B" if n % 2 else b"\x1b[A" if n % 4 else b"\x1b[B") for n in range(KEYS)
        )
        views = sorted(seen.press(str(1 + n % 8).encode()) for n in range(40))
        process = psutil.Process(seen.process.pid)
        os.write(seen.master, b"1")
        before, began = process.cpu_times(), time.perf_counter()
        while time.perf_counter() - began < CPU_SECONDS:
            seen.read(0.2)
        after, spent = process.cpu_times(), time.perf_counter() - began
        cpu = (after.user + after.system - before.user - before.system) / spent
        print(f"launch to first paint       {painted * 1000:7.0f} ms")
        print(f"launch to first data        {data * 1000:7.0f} ms")
        print(f"key to repaint, median      {statistics.median(took) * 1000:7.1f} ms")
        print(f"key to repaint, p95         {took[int(len(took) * 0.95)] * 1000:7.1f} ms")
        print(f"another view, p95           {views[int(len(views) * 0.95)] * 1000:7.1f} ms")
        print(f"memory                      {process.memory_info().rss / 2**20:7.0f} MB")
        print(f"CPU at a look every 2 s     {cpu:7.1%} of a core")


if __name__ == "__main__":
    main()
