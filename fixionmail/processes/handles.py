"""A process that has been started, as its supervisor holds it: a child, somebody's child found again, or a server."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from fixionmail.engine import Engine
from fixionmail.errors import FixionMailError
from fixionmail.processes.identity import Identity, find, identify
from fixionmail.processes.logs import last_lines
from fixionmail.processes.spec import ProcessSpec, without_settings

UNKNOWN_END = "ended; its exit code went to an earlier supervisor"
LONGEST_WORDS = 500


class Handle(Protocol):
    """What a supervisor does with a process, whatever it is."""

    def identity(self) -> Identity | None:
        """Which process it is; None while there is none yet, or none any more."""

    def end(self) -> str | None:
        """How it ended, in words; None while it lives or is about to."""

    def ask_to_stop(self) -> None:
        """Let it finish what it has begun, and end."""

    def leave(self) -> None:
        """Like ``ask_to_stop``, but a server stays while others use it."""

    def kill(self) -> None:
        """End it at once."""


class Child:
    """A program that this process has started, in a session of its own: a Ctrl+C does not reach it.

    Raises:
        OSError: it cannot be started, or its log cannot be written.
    """

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._log_began = output.tell()
            self._process = subprocess.Popen(
                spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**without_settings(os.environ), **spec.environment},
                cwd=spec.cwd,
                start_new_session=True,
            )
        self._identity = identify(self._process.pid, spec.argv)

    def identity(self) -> Identity | None:
        """See :class:`Handle`."""
        return self._identity

    def end(self) -> str | None:
        """See :class:`Handle`; a failure comes with the last line of the log."""
        code = self._process.poll()
        if code is None:
            return None
        words = in_words(code)
        if code > 0 and (said := self._last_line()):
            return f"{words}: {said[:LONGEST_WORDS]}"
        return words

    def ask_to_stop(self) -> None:
        """See :class:`Handle`."""
        self._process.terminate()

    leave = ask_to_stop

    def kill(self) -> None:
        """See :class:`Handle`; whatever it has started itself goes with it."""
        if self._process.poll() is None:  # so its id is still its own
            os.killpg(self._process.pid, signal.SIGKILL)

    def _last_line(self) -> str:
        if self._log.stat().st_size == self._log_began:
            return ""  # the line there is another one's
        return next((line for line in reversed(last_lines(self._log, 5)) if line.strip()), "")


class Adopted:
    """A program that an earlier supervisor had started; signals reach it or nobody."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def identity(self) -> Identity | None:
        """See :class:`Handle`."""
        return self._identity

    def end(self) -> str | None:
        """See :class:`Handle`; only a parent learns the exit code."""
        if find(self._identity):
            return None
        return UNKNOWN_END

    def ask_to_stop(self) -> None:
        """See :class:`Handle`."""
        self._signal(signal.SIGTERM)

    leave = ask_to_stop

    def kill(self) -> None:
        """See :class:`Handle`."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(psutil.NoSuchProcess):
            if process := find(self._identity):
                process.send_signal(number)


class BundledServer:
    """A bundled server. Starting and stopping it take their time, in a thread; one that runs is taken as it is."""

    def __init__(self, engine: Engine, port: int | None = None) -> None:
        self._engine = engine
        self._known: Identity | None = None
        self._trouble = ""
        self._stopping = False
        self._errand = self._run(lambda: engine.start(port))

    def identity(self) -> Identity | None:
        """See :class:`Handle`."""
        running = self._engine.running()
        if running is None:
            return None
        if self._known is None or self._known.pid != running.pid:
            with suppress(psutil.Error):
                self._known = identify(running.pid, tuple(psutil.Process(running.pid).cmdline()))
        return self._known

    def end(self) -> str | None:
        """See :class:`Handle`; a server that could not be started says why."""
        if self._errand.is_alive():
            return None
        if self._trouble:
            return self._trouble
        if self._stopping:
            return "stopped"
        return None if self._engine.running() else "died"

    def ask_to_stop(self) -> None:
        """See :class:`Handle`; one that hangs is killed as soon as its engine has given up waiting."""
        self._stop(self._stop_or_kill)

    def _stop_or_kill(self) -> None:
        try:
            self._engine.stop()
        except FixionMailError:
            self.kill()

    def leave(self) -> None:
        """See :class:`Handle`."""
        self._stop(self._engine.release)

    def kill(self) -> None:
        """See :class:`Handle`."""
        if self._known and (process := find(self._known)):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _stop(self, errand: Callable[[], object]) -> None:
        self._stopping = True
        self._errand = self._run(errand, after=self._errand)

    def _run(self, errand: Callable[[], object], after: threading.Thread | None = None) -> threading.Thread:
        def run() -> None:
            if after:
                after.join()
            try:
                errand()
            except FixionMailError as error:
                self._trouble = str(error)

        thread = threading.Thread(target=run, name="bundled server", daemon=True)
        thread.start()
        return thread


def in_words(code: int) -> str:
    """An exit code as subprocess gives it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (perhaps out of memory)" if -code == signal.SIGKILL else "")
