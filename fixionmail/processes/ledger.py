"""What shall run and what was seen to run, in files that outlive everybody who reads and writes them.

==================  ===================================================================================
``wanted.json``     what shall run; anybody may change it, in turns (``wanted.lock``)
``seen.json``       what the supervisor has started and how it fares; written by the supervisor alone
``supervisor.lock``  flock, held by the one supervisor of the home for as long as it lives
==================  ===================================================================================

Both files are replaced as a whole, and are private: settings may hold keys.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fixionmail.engine import write_private
from fixionmail.errors import EngineError
from fixionmail.processes.identity import Identity
from fixionmail.processes.spec import ProcessSpec

TRY_SECONDS = 1.0
"""A look at the lock holds it for a moment: who wants it tries for a while."""
POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A process that shall run, or that shall be remembered as stopped (``run`` is false).

    ``launch`` grows when it is to begin anew: whoever runs for an older launch is stopped.
    """

    spec: ProcessSpec
    run: bool = True
    launch: int = 1

    def again(self) -> Wanted:
        """The same, to begin anew."""
        return replace(self, run=True, launch=self.launch + 1)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that shall run, by name. ``supervisor`` names who shall see to it."""

    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    supervisor: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A process as its supervisor saw it last; times are seconds since 1970.

    ``identity`` is None when nothing runs; ``last_end`` says how the one before ended.
    """

    name: str
    kind: str
    state: str
    since: float
    launch: int
    identity: Identity | None = None
    started_at: float | None = None
    restarts: int = 0
    early_ends: int = 0
    last_end: str = ""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the supervisor saw. ``in_foreground``: it is a ``fixionmail up``, which ends with its terminal."""

    pid: int = 0
    in_foreground: bool = False
    records: Mapping[str, Record] = field(default_factory=dict)


class Ledger:
    """The files of one home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "processes"

    def plan(self) -> Plan:
        """What shall run."""
        document = self._read("wanted.json")
        wanted = {name: _wanted(row) for name, row in document.get("wanted", {}).items()}
        return Plan(wanted=wanted, supervisor=document.get("supervisor", ""))

    def plan_version(self) -> tuple[int, int]:
        """Changes whenever the plan does."""
        with suppress(FileNotFoundError):
            stat = (self._folder / "wanted.json").stat()
            return stat.st_ino, stat.st_mtime_ns
        return 0, 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one who changes the plan."""
        self.prepare()
        with _opened(self._folder / "wanted.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan; to be called in one's turn."""
        self._write("wanted.json", asdict(plan))

    def seen(self) -> Seen:
        """What the supervisor saw last."""
        document = self._read("seen.json")
        records = {name: _record(row) for name, row in document.get("records", {}).items()}
        return Seen(**{**document, "records": records}) if document else Seen()

    def write_seen(self, seen: Seen) -> None:
        """Write down what the supervisor sees; for the supervisor alone."""
        self._write("seen.json", asdict(seen))

    def is_supervised(self) -> bool:
        """Whether a supervisor lives, from the kernel. Writes nothing."""
        try:
            lock = os.open(self._folder / "supervisor.lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _locks(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    @contextmanager
    def supervising(self, patience: float = TRY_SECONDS) -> Iterator[bool]:
        """Be the home's supervisor while inside; False when another one is and stays."""
        self.prepare()
        with _opened(self._folder / "supervisor.lock") as lock:
            until = time.monotonic() + patience
            while not (is_ours := _locks(lock, fcntl.LOCK_EX)) and time.monotonic() < until:
                time.sleep(POLL_SECONDS)
            yield is_ours

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            EngineError: they cannot be made.
        """
        try:
            self._home.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            (self._home / "logs").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EngineError(
                f"Processes cannot be kept in {self._home}: {error.strerror}. Set FIXIONMAIL_HOME to a folder "
                "that this user may write."
            ) from error

    def _read(self, name: str) -> dict[str, Any]:
        file = self._folder / name
        try:
            return dict(json.loads(file.read_text()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise EngineError(f"{file} cannot be read: {error}. Without it, no process is known.") from None

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        draft = self._folder / f"{name}.new"
        write_private(draft, json.dumps(document))
        draft.replace(self._folder / name)


def _wanted(row: Mapping[str, Any]) -> Wanted:
    described = row["spec"]
    return Wanted(**{**row, "spec": ProcessSpec(**{**described, "argv": tuple(described["argv"])})})


def _record(row: Mapping[str, Any]) -> Record:
    known = row["identity"]
    identity = Identity(**{**known, "argv": tuple(known["argv"])}) if known else None
    return Record(**{**row, "identity": identity})


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locks(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
