"""The console on a terminal: launch to first data, key press to repaint, memory and CPU at a look every two seconds.

    python -m tests.benchmarks.console [--redis-url URL | --jobs 1000000]

Without either it looks at the deployment that pretends. With ``--jobs`` it looks at a Valkey of its own with so many
jobs in 6 queues and 50 workers, and then once more from so far away that a look takes five seconds.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from tests.benchmarks.ops.distance import DistantProxy
from tests.benchmarks.ops.seeding import seed
from tests.integration.worker.servers import RedisServer

ROWS, COLUMNS = 48, 160
KEYS, SLOW_KEYS, VIEWS = 200, 120, 40
CPU_SECONDS = 20.0
GIVE_UP_SECONDS = 20.0
SLOW_SECONDS = 5.0
FIRST_DATA = b"Queues"
HOLDS_DATA = b"every"
"""Stands in the head of the screen once a look has come."""
TELLS_AGE = b" old"
"""Stands there while what is shown is older than it should be."""
UP, DOWN, PAGE_UP, PAGE_DOWN = b"\x1b[A", b"\x1b[B", b"\x1b[5~", b"\x1b[6~"


@dataclass
class Terminal:
    """A console on a terminal of its own."""

    master: int
    process: subprocess.Popen[bytes]
    began: float

    def read(self, seconds: float) -> bytes:
        """What it writes within so many seconds, at once when it writes; nothing once it has ended."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        with suppress(OSError):
            return os.read(self.master, 1 << 16) if ready else b""
        return b""

    def until(self, words: bytes) -> float:
        """Read on until it has written these words; seconds since it was launched."""
        asked, seen = time.perf_counter(), b""
        while words not in seen:
            seen += self.read(0.5)
            if time.perf_counter() - asked > GIVE_UP_SECONDS:
                raise TimeoutError(words.decode())
        return time.perf_counter() - self.began

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

    def press_all(self, keys: Sequence[bytes]) -> list[float]:
        """Seconds that each key took, in order of length."""
        return sorted(map(self.press, keys))

    def cpu(self, seconds: float) -> float:
        """The part of a core that it takes over so many seconds."""
        before, began = self.processor_time(), time.perf_counter()
        while time.perf_counter() - began < seconds:
            self.read(0.2)
        return (self.processor_time() - before) / (time.perf_counter() - began)

    def processor_time(self) -> float:
        """Seconds that it has computed so far, however long it had to wait for the processor."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def memory(self) -> float:
        """Resident megabytes."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """A console with these arguments, in an empty home."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "TERM": "xterm-256color", "FIXIONMAIL_HOME": home}
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "console", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        seen = Terminal(master, process, began)
        try:
            yield seen
        finally:
            process.terminate()
            seen.quiet(1.0)
            process.wait(10)
            os.close(master)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redis-url")
    parser.add_argument("--jobs", type=int)
    wanted = parser.parse_args()
    if wanted.jobs:
        _large(wanted.jobs)
    elif wanted.redis_url:
        _near("--redis-url", wanted.redis_url)
    else:
        _near("--demo")


def _large(jobs: int) -> None:
    """A deployment of its own, near and far away."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            redis: Any = Redis.from_url(server.url, socket_timeout=60)
            seed(redis, jobs, datetime.now(UTC))
            print(f"{jobs:,} jobs, {redis.dbsize():,} keys, {redis.info('memory')['used_memory_human']}")
            _near("--redis-url", server.url)
            _far(server)
        finally:
            server.kill()


def _near(*arguments: str) -> None:
    with terminal(*arguments) as seen:
        _tell("launch to first paint", seen.until(FIRST_DATA))
        _tell("launch to first data", seen.until(HOLDS_DATA))
        _tell("of that, computing", seen.processor_time())
        seen.quiet(0.5)
        os.write(seen.master, b"2")
        time.sleep(1.5)
        before = seen.processor_time()
        _tell_all("key to repaint", seen.press_all([UP if n % 4 == 2 else DOWN for n in range(KEYS)]))
        _tell("a key, computing", (seen.processor_time() - before) / KEYS)
        pages = [PAGE_UP if n % 4 == 3 else PAGE_DOWN for n in range(VIEWS)]
        _tell_all("another page of jobs", seen.press_all(pages))
        _tell_all("another view", seen.press_all([_view(n) for n in range(VIEWS)]))
        os.write(seen.master, b"1")
        print(f"{'CPU at a look every 2 s':<34}{seen.cpu(CPU_SECONDS):9.1%} of a core")
        print(f"{'memory':<34}{seen.memory():7.0f} MB")


def _far(server: RedisServer) -> None:
    """The same keys while a look takes longer than it is waited for."""
    proxy = DistantProxy(server.port, 0.0)
    with terminal("--redis-url", proxy.url) as seen:
        seen.until(HOLDS_DATA)
        os.write(seen.master, b"2")
        seen.quiet(1.5)
        proxy.round_trip_seconds = SLOW_SECONDS
        seen.until(TELLS_AGE)
        print(f"and then a round trip takes {SLOW_SECONDS:g} s; the head tells how old the data is")
        _tell_all("key to repaint", seen.press_all([UP if n % 2 else DOWN for n in range(SLOW_KEYS)]))
        _tell_all("another view", seen.press_all([_view(n) for n in range(VIEWS)]))


def _view(number: int) -> bytes:
    return str(1 + number % 8).encode()


def _tell(what: str, seconds: float) -> None:
    print(f"{what:<34}{seconds * 1000:7.0f} ms")


def _tell_all(what: str, took: Sequence[float]) -> None:
    for name, part in (("median", 0.5), ("p95", 0.95), ("longest", 1.0)):
        _tell(f"{what}, {name}", took[min(len(took) - 1, int(len(took) * part))])


if __name__ == "__main__":
    main()
