"""Running the real command line in processes of its own, as a user does."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

PATIENCE_SECONDS = 60.0


def command(*arguments: str) -> list[str]:
    """The command line of ``fixionmail`` with these arguments."""
    return [sys.executable, "-P", "-m", "cli", *arguments]


def environment(home: Path, **settings: str) -> dict[str, str]:
    """An environment with a home and these settings only."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "HOME", "PYTHONPATH", "FIXIONMAIL_POSTGRES_BIN")
        if name in os.environ
    }
    return {**kept, "FIXIONMAIL_HOME": str(home), "FIXIONMAIL_POSTGRES_OPTIONS": "fsync=off", **settings}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def run(
    home: Path,
    *arguments: str,
    timeout: float = PATIENCE_SECONDS,
    stdin: int | None = None,
    **settings: str,
) -> Ended:
    """Run a command to its end, in an empty working folder of its home; ``stdin`` is ours where None."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command(*arguments),
        env=environment(home, **settings),
        cwd=home,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def run_at_terminal(home: Path, answer: str, *arguments: str, **settings: str) -> Ended:
    """Run a command whose questions somebody at a terminal answers with ``answer``."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        return run(home, *arguments, stdin=theirs, **settings)
    finally:
        os.close(theirs)
        os.close(ours)


@contextmanager
def running(home: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs while inside; it is asked to stop afterwards, and killed if it does not."""
    home.mkdir(parents=True, exist_ok=True)
    log = (home / "command.log").open("a")
    process = subprocess.Popen(
        command(*arguments),
        env=environment(home, **settings),
        cwd=home,
        stdout=log,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until ``condition`` gives something true, and return it."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < give_up_at, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process on this machine that works in this home, or was told of it."""
    return [
        process for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, home)
    ]


def _belongs(process: psutil.Process, home: Path) -> bool:
    looks: tuple[Callable[[], str], ...] = (
        process.cwd,
        lambda: " ".join(process.cmdline()),
        lambda: process.environ().get("FIXIONMAIL_HOME", ""),
    )
    for look in looks:
        with suppress(psutil.Error, OSError):
            if str(home) in look():
                return process.status() != psutil.STATUS_ZOMBIE
    return False
