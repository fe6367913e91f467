"""Starts our processes, starts them again when they die, and stops them: asked first, then killed."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from fixionmail.errors import EngineError
from fixionmail.processes.spec import ProcessSpec

STOP_SECONDS = 30.0
"""How long a process may take to finish what it has begun."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
STABLE_SECONDS = 60.0
"""After running this long, a process that dies is started again at once."""

_log = structlog.get_logger("fixionmail.supervisor")


@dataclass
class _Child:
    spec: ProcessSpec
    process: subprocess.Popen[bytes]
    started_at: float
    pause: float = FIRST_PAUSE_SECONDS
    restarts: int = 0
    start_again_at: float | None = None
    last_end: str = ""


@dataclass(frozen=True, kw_only=True)
class ChildView:
    """A process as people see it. ``last_end``: how its predecessor ended, when there was one."""

    name: str
    kind: str
    pid: int
    running: bool
    restarts: int
    last_end: str


@dataclass
class Supervisor:
    """The processes of one ``fixionmail up``.

    Args:
        folder: where their logs go, ``<name>.log`` each.
        environment: all of it.
        cwd: the folder they work in, whose `.env` they read; ours when None.
    """

    folder: Path
    environment: Mapping[str, str]
    cwd: Path | None = None
    _children: dict[str, _Child] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self, specs: Sequence[ProcessSpec]) -> None:
        """Start these processes.

        Raises:
            EngineError: a log cannot be written or a process cannot be started; the others were stopped again.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for spec in specs:
                self._children[spec.name] = _Child(spec, self._spawn(spec), time.monotonic())
        except OSError as error:
            self.stop()
            raise EngineError(f"A process could not be started: {error}.") from None

    def look(self) -> list[ChildView]:
        """All processes, as they are now."""
        with self._lock:
            return [
                ChildView(
                    name=child.spec.name,
                    kind=child.spec.kind,
                    pid=child.process.pid,
                    running=child.process.poll() is None,
                    restarts=child.restarts,
                    last_end=child.last_end,
                )
                for child in self._children.values()
            ]

    def tend(self) -> None:
        """Start again what has died, after a pause that doubles while it keeps dying."""
        with self._lock:
            for child in self._children.values():
                self._tend(child)

    def stop(self) -> None:
        """Stop all: SIGTERM to each, so that they finish what they have begun, SIGKILL to who does not."""
        self._ended.set()
        with self._lock:
            running = [c.process for c in self._children.values() if c.process.poll() is None]
            for process in running:
                process.terminate()
            give_up_at = time.monotonic() + STOP_SECONDS
            for process in running:
                try:
                    process.wait(max(0.1, give_up_at - time.monotonic()))
                except subprocess.TimeoutExpired:
                    _log.warning("a process did not stop in time and was killed", pid=process.pid)
                    process.kill()
                    process.wait()

    def _tend(self, child: _Child) -> None:
        code = child.process.poll()
        if code is None or self._ended.is_set():
            return
        now = time.monotonic()
        if child.start_again_at is None:
            if now - child.started_at > STABLE_SECONDS:
                child.pause = FIRST_PAUSE_SECONDS
            child.last_end = f"signal {-code}" if code < 0 else f"exit code {code}"
            child.start_again_at = now + child.pause
            child.pause = min(child.pause * 2, LONGEST_PAUSE_SECONDS)
            _log.warning("a process ended", name=child.spec.name, how=child.last_end, log=str(self.folder))
        elif now >= child.start_again_at:
            child.process, child.started_at = self._spawn(child.spec), now
            child.restarts += 1
            child.start_again_at = None

    def _spawn(self, spec: ProcessSpec) -> subprocess.Popen[bytes]:
        with (self.folder / f"{spec.name}.log").open("ab") as log:
            # A session of its own: Ctrl+C reaches us alone, and we stop them in order.
            return subprocess.Popen(
                spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.cwd,
                start_new_session=True,
            )


@contextmanager
def supervised(
    folder: Path, environment: Mapping[str, str], cwd: Path | None, specs: Sequence[ProcessSpec]
) -> Iterator[Supervisor]:
    """Run these processes while inside; they have stopped afterwards."""
    supervisor = Supervisor(folder, environment, cwd)
    supervisor.start(specs)
    try:
        yield supervisor
    finally:
        supervisor.stop()
