"""Other programs: run to their end or left running as a server, as the user they need, in a bare environment."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from fixionmail.errors import EngineError

_LAUNCHER = Path(__file__).with_name("launcher.py")
NOT_LAUNCHED = 126
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TZDIR")


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user of the operating system, to run a program that refuses to run as root."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to execute: ``argv[0]`` is an absolute path; ``cwd`` a folder that ``account`` must be able to reach."""

    argv: Sequence[str]
    cwd: Path
    account: Account | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a program ended; ``said`` is all its output, errors included."""

    code: int
    said: str


def run(command: Command, *, stdin: str = "") -> Outcome:
    """Run a program to its end.

    Raises:
        EngineError: it cannot be run at all.
    """
    process = _launch(command, lock="", stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if process.returncode == NOT_LAUNCHED:
        raise _refused(command, process.stdout)
    return Outcome(code=process.returncode, said=process.stdout)


def spawn(command: Command, *, lock: Path, log: IO[bytes]) -> None:
    """Leave a program running that outlives us, holds ``lock`` and writes to ``log``; see :func:`lock_holder`.

    Raises:
        EngineError: it cannot be run at all, or another one holds the lock.
    """
    process = _launch(command, lock=str(lock), stdin="", stdout=log, stderr=subprocess.PIPE)
    if process.stderr:
        raise _refused(command, process.stderr)


def lock_holder(file: Path) -> int | None:
    """The process that runs with ``file`` as its lock, from the kernel: fcntl(2), F_GETLK, struct flock."""
    layout, kind_at, pid_at = ("qqihh", 3, 2) if sys.platform == "darwin" else ("hhqqi4x", 0, 4)
    question = [0] * 5
    question[kind_at] = fcntl.F_WRLCK
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *question))
    finally:
        os.close(descriptor)
    lock = struct.unpack(layout, answer)
    return None if lock[kind_at] == fcntl.F_UNLCK else int(lock[pid_at])


def _launch(
    command: Command, *, lock: str, stdin: str, stdout: int | IO[bytes], stderr: int
) -> subprocess.CompletedProcess[str]:
    account = f"{command.account.uid}:{command.account.gid}" if command.account else ""
    argv = [sys.executable, "-I", "-S", str(_LAUNCHER), lock, account, *command.argv]
    # Settings and keys are none of a server's business, and the user it runs as may not be ours.
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | {"LC_ALL": "C"}
    with (
        _interrupts_held() as let_interrupts_in,
        subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            text=True,
            errors="replace",
            cwd=command.cwd,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            let_interrupts_in()
            said, refusal = process.communicate(stdin)
        except KeyboardInterrupt:
            process.communicate()  # only then is it known whether there is a server to stop
            raise
    return subprocess.CompletedProcess(argv, process.returncode, said, refusal)


@contextmanager
def _interrupts_held() -> Iterator[Callable[[], None]]:
    """Ctrl+C waits until the yielded function is called: in the middle of Popen, it would leave a program that nobody
    has heard of yet, and so nobody would stop."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # interrupts go to the main thread
        return
    held: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda *interrupt: held.append(interrupt))

    def let_in() -> None:
        signal.signal(signal.SIGINT, before)
        if held and callable(before):
            before(*held.pop())

    try:
        yield let_in
    finally:
        signal.signal(signal.SIGINT, before)


def _refused(command: Command, reason: str) -> EngineError:
    if command.account is None:
        return EngineError(f"{command.argv[0]} cannot be run. {reason}.")
    return EngineError(
        f"{command.argv[0]} may not run as root and cannot be run as user number {command.account.uid}. {reason}. "
        "Keep that path in a folder which others may enter (FIXIONMAIL_HOME says where data is kept), "
        "or run FixionMail as an ordinary user."
    )
