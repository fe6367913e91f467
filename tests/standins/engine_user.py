"""A process that uses an engine, to be killed, interrupted and raced: ``python -m tests.standins.engine_user``.

It prints where it found the server as one line of JSON, and leaves when its standard input ends. Errors that
FixionMail explains end it with exit code 1 and the sentence on standard error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from fixionmail.engine import Engine
from fixionmail.errors import FixionMailError
from tests.standins.idle_server import IdleServer

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def _idle(home: Path) -> Iterator[str]:
    folder = home / "idle"
    server = IdleServer(folder=folder, habit=os.environ.get("IDLE_HABIT", "punctual"))
    with Engine(folder, server, start_seconds=20).use() as running:
        yield str(running.port)


def _engine(kind: str, home: Path) -> AbstractContextManager[str]:
    if kind == "postgres":
        from fixionmail.store.embedded import embedded_postgres

        return embedded_postgres(home)
    if kind == "redis":
        from fixionmail.processes.redis import embedded_redis

        return embedded_redis(home)
    return _idle(home)


def main(kind: str, home: str) -> None:
    with _engine(kind, Path(home)) as url:
        sys.stdout.write(json.dumps(url) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


class EngineUser:
    """Such a process, seen from a test."""

    def __init__(
        self,
        kind: str,
        home: Path,
        *,
        prefix: tuple[str, ...] = (),
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            [*prefix, python, "-m", "tests.standins.engine_user", kind, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self.pid = self._process.pid

    def __enter__(self) -> EngineUser:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.communicate()

    def url(self) -> str:
        """Where it found the server; waits until it has."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(self._process.communicate()[1])
        return str(json.loads(line))

    def signal(self, number: int) -> None:
        """Signal its whole process group, as a terminal does."""
        os.killpg(self.pid, number)

    def leave(self) -> tuple[int, str]:
        """Let it go; its exit code, and what it said on standard error."""
        _, said = self._process.communicate()
        return self._process.returncode, said


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until ``condition()`` holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "this never came true"
        time.sleep(0.01)


def has_ended(pid: int) -> bool:
    """Whether a process is over, collected by its parent or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FixionMailError as error:
        sys.exit(str(error))
