"""A server process that belongs to a folder: started once, shared by every process that uses the folder, stopped
when the last of them leaves, found again after a crash.

The folder's state is held by the kernel, which drops every lock when its holder dies, however it dies:

========================  =============================================================================
``users.lock``            flock, shared by everybody who uses the server; exclusive for whoever leaves last
``start.lock``            flock, for whoever starts the server, or stops it by name
``server.lock``           POSIX lock of the server itself (see :mod:`fixionmail.launcher`): who runs it is
                          asked of the kernel, never concluded from a stored process id
``port``                  written once the server is ready; means something only while the server lives
``detached``              the server stays when its last user leaves
``server.log``            what the server said since it was last started; ``server.log.1`` the time before
========================  =============================================================================
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from fixionmail.errors import EngineError
from fixionmail.program import Command, lock_holder, spawn

LOCALHOST = "127.0.0.1"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
RETRY_SECONDS = 10.0
DYING_SECONDS = 1.0
TURN_SECONDS = START_SECONDS + STOP_SECONDS
POLL_SECONDS = 0.02
LITTLE_SPACE = 64 * 1024 * 1024
PORT_TAKEN = "Address already in use"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that is up: its process, and the port it listens on at 127.0.0.1."""

    pid: int
    port: int


class Server(Protocol):
    """One kind of server, as its engine must know it."""

    @property
    def title(self) -> str:
        """The name people call it by."""

    @property
    def stop_signal(self) -> signal.Signals:
        """Asks it to save what it holds and end."""

    @property
    def ready_line(self) -> str:
        """What its log says once it accepts connections."""

    @property
    def passing_troubles(self) -> Sequence[str]:
        """What its log says when it could not start now, but may a moment later or on another port."""

    def prepare(self) -> None:
        """Make its files ready for a start; called while nobody else starts it.

        Raises:
            EngineError: they cannot be.
        """

    def command(self, port: int) -> Command:
        """How to run it on ``port`` of 127.0.0.1, with its log on standard output."""

    def greet(self, port: int) -> None:
        """Log in once.

        Raises:
            EngineError: it does not let us in.
        """


class Engine:
    """The one ``server`` of ``folder``. Everything here may be called by any number of processes and threads."""

    def __init__(
        self,
        folder: Path,
        server: Server,
        *,
        start_seconds: float = START_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._folder = folder
        self._server = server
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds

    @contextmanager
    def use(self, port: int | None = None) -> Iterator[Running]:
        """Use the server: start it unless it runs, stop it after the last user unless it was detached.

        Args:
            port: where it must listen; without one, where it listened last time or wherever there is room.

        Raises:
            EngineError: it cannot be started or stopped, or it runs on another port than the one asked for.
        """
        with ExitStack() as stack:
            with self._explained():
                users = stack.enter_context(self._joined())
            try:
                with self._explained(), self._turn():
                    running = self._ensure(port)
                yield running
            finally:
                with self._explained():
                    self._leave(users)

    def start(self, port: int | None = None) -> Running:
        """Start the server, unless it runs, and let it stay until :meth:`stop`; ``port`` and errors as in use."""
        with self.use(port) as running:
            with self._explained():
                self._path("detached").touch()
            return running

    def running(self) -> Running | None:
        """The server, when it is up and ready. Starts and writes nothing.

        Raises:
            EngineError: the folder belongs to somebody else.
        """
        with self._explained():
            pid, port = self._holder(), self._port()
        return None if pid is None or port is None else Running(pid=pid, port=port)

    def stop(self) -> bool:
        """Stop the server, whoever uses it; says whether there was one.

        Raises:
            EngineError: it does not end.
        """
        with self._explained():
            if self._holder() is None:
                return False
            with self._turn():
                return self._stop()

    def release(self) -> None:
        """Let the server stop with its last user, after a :meth:`start`: at once when nobody uses it.

        Raises:
            EngineError: it does not end.
        """
        with self._explained():
            if self._holder() is None:
                return
            with self._joined() as users:
                self._path("detached").unlink(missing_ok=True)
                self._leave(users)

    # Coming and going

    @contextmanager
    def _joined(self) -> Iterator[int]:
        self._folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        # Others may pass through, not look: the server may run as another user, and its data lies inside.
        self._folder.mkdir(mode=0o711, exist_ok=True)
        with self._locked("users.lock", fcntl.LOCK_SH) as users:
            yield users

    def _leave(self, users: int) -> None:
        fcntl.flock(users, fcntl.LOCK_UN)
        with suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._path("detached").exists():
                self._stop()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._locked("start.lock", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[int]:
        descriptor = os.open(self._path(name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _within(TURN_SECONDS, lambda: _try_lock(descriptor, kind)):
                raise EngineError(
                    f"Another process has been starting or stopping {self._server.title} in {self._folder} "
                    f"for {TURN_SECONDS:.0f} s. If it hangs, end it and try again."
                )
            yield descriptor
        finally:
            os.close(descriptor)

    # Starting and stopping, in one's turn

    def _ensure(self, port: int | None) -> Running:
        running = self._adopt(port)
        if running is None:
            self._stop()  # left half started by somebody who died over it: nobody knows its port
            running = self._start(port)
            self._server.greet(running.port)
        return running

    def _adopt(self, port: int | None) -> Running | None:
        """The server, if it runs and answers; one that is just dying, as after a kill, is none."""
        running = self.running()
        if running is None:
            return None
        if port not in (None, running.port):
            raise EngineError(
                f"{self._server.title} of {self._folder} already runs on port {running.port}; "
                f"stop it before starting it on port {port}."
            )
        try:
            self._server.greet(running.port)
        except EngineError:
            if not _within(DYING_SECONDS, lambda: self._holder() != running.pid):
                raise
            return None
        return running

    def _start(self, port: int | None) -> Running:
        self._server.prepare()
        attempt = port or self._port() or free_port()
        until = time.monotonic() + RETRY_SECONDS
        while (running := self._launch(attempt)) is None:
            if port is not None or time.monotonic() > until:
                raise self._failure(f"cannot start on port {attempt}")
            time.sleep(POLL_SECONDS)
            attempt = free_port()
        self._path("port").write_text(f"{running.port}\n")
        return running

    def _launch(self, port: int) -> Running | None:
        """Launch the server and wait until it is ready; None when that may go better another time."""
        self._path("port").unlink(missing_ok=True)
        self._path("detached").unlink(missing_ok=True)
        self._spawn(self._server.command(port))
        if not _within(self._start_seconds, lambda: self._is_ready() or self._holder() is None):
            raise self._failure(f"was not ready after {self._start_seconds:g} s")
        pid = self._holder()
        if pid is not None:
            return Running(pid=pid, port=port)
        if any(trouble in self._log() for trouble in self._server.passing_troubles):
            return None
        raise self._failure("ended while starting")

    def _spawn(self, command: Command) -> None:
        log = self._path("server.log")
        with suppress(FileNotFoundError):
            log.replace(self._path("server.log.1"))
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
            spawn(command, lock=self._path("server.lock"), log=output)

    def _stop(self) -> bool:
        pid = self._holder()
        if pid is None:
            return False
        process = self._ask_to_stop(pid)
        if not _within(self._stop_seconds, lambda: self._holder() != pid and _has_ended(process)):
            raise self._failure(f"(process {pid}) did not stop within {self._stop_seconds:g} s")
        return True

    def _ask_to_stop(self, pid: int) -> psutil.Process | None:
        """Signal the server, and never another process that got its id; None when there is none to be seen."""
        try:
            process = psutil.Process(pid)
            if self._holder() == pid:
                process.send_signal(self._server.stop_signal)
            return process
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied as error:
            raise self._failure(f"(process {pid}) may only be stopped by the user who started it") from error

    # What is known of the server

    def _holder(self) -> int | None:
        return lock_holder(self._path("server.lock"))

    def _is_ready(self) -> bool:
        return self._server.ready_line in self._log()

    def _port(self) -> int | None:
        try:
            return int(self._path("port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _log(self) -> str:
        with suppress(FileNotFoundError):
            return self._path("server.log").read_text(errors="replace")
        return ""

    def _path(self, name: str) -> Path:
        return self._folder / name

    # Errors

    def _failure(self, what: str) -> EngineError:
        said = self._last_word()
        return EngineError(
            f"{self._server.title} in {self._folder} {what}."
            + (f" Its log says: {said}" if said else "")
            + _little_space(self._folder)
        )

    def _last_word(self) -> str:
        """The line of the server's log that says best what went wrong; empty when it said nothing."""
        lines = [line.strip() for line in self._log().splitlines() if line.strip()]
        telling = [
            line for line in lines if any(word in line.lower() for word in ("fatal", "panic", "error"))
        ]
        return (telling or lines or [""])[-1]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the operating system says about the folder into a sentence."""
        try:
            yield
        except OSError as error:
            raise EngineError(
                f"{self._server.title} cannot keep its files in {self._folder}: {error.strerror}."
                f"{_advice(error)}{_little_space(self._folder)}"
            ) from error


def make_secret(file: Path) -> None:
    """Put a random password into ``file``, whole or not at all."""
    draft = file.with_name(f"{file.name}.new")
    write_private(draft, secrets.token_urlsafe(32))
    draft.replace(file)


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(text)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait for ``condition``; says whether it came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_ended(process: psutil.Process | None) -> bool:
    try:
        return process is None or not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _advice(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return " Set FIXIONMAIL_HOME to a folder that this user may write."
    return ""


def _little_space(folder: Path) -> str:
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    free = shutil.disk_usage(existing).free
    return f" Only {free // 2**20} MB are free there." if free < LITTLE_SPACE else ""
