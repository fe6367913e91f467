"""The processes of a home, for people: look at them, and say what shall run. The supervisor does the rest.

Nothing here waits for a process, except :meth:`Fleet.settled`; whoever closes the console changes nothing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from fixionmail.errors import EngineError, InputError
from fixionmail.processes.identity import find
from fixionmail.processes.keeper import FAILED, RUNNING, STARTING, STOPPED, STOPPING
from fixionmail.processes.ledger import Ledger, Plan, Record, Wanted
from fixionmail.processes.logs import LogReader, last_lines
from fixionmail.processes.spec import KINDS, PROGRAMS, ProcessSpec, kind_of, names, spec
from fixionmail.processes.supervisor import log_file

UNSUPERVISED = "not supervised: its supervisor has died; any start, stop or restart begins another one"
SETTLE_SECONDS = 45.0
"""A stop may take half a minute, a first start of Postgres some seconds."""
BEGIN_SECONDS = 15.0
LOG_LINES = 3
POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class ProcessLook:
    """A process as people see it.

    Attributes:
        state: running, starting, stopping, backing off, crash-looping, stopped, or failed: it shall run, does not,
            and nobody supervises it.
        since: when it came into this state; None when nobody saw that.
        uptime: seconds it has lived; None when it does not.
        cpu: percent of one core since the last look, at the first one over its life.
        rss: bytes of memory.
        restarts: how often it was started again by itself.
        last_end: how the one before it ended; empty when there was none.
        note: what else an operator should know; empty as a rule.
        log: the last lines of its log, as it wrote them.
        port: where it was told to listen; None when it was not.
    """

    name: str
    kind: str
    state: str
    since: datetime | None = None
    pid: int | None = None
    uptime: float | None = None
    cpu: float | None = None
    rss: int | None = None
    restarts: int = 0
    last_end: str = ""
    note: str = ""
    log: tuple[str, ...] = ()
    port: int | None = None


class Fleet:
    """The processes of one home.

    Args:
        home: FIXIONMAIL_HOME.
        describe: how to run the process of a name; the default takes the settings of this process's environment
            and working folder.
        supervisor: the command line that begins a supervisor in the background and returns.
        beneath: servers that programs need here; they are started with the first of them.
    """

    def __init__(
        self,
        home: Path,
        *,
        describe: Callable[[str], ProcessSpec] | None = None,
        supervisor: Sequence[str] = (sys.executable, "-P", "-m", "cli", "processes", "supervise", "--detach"),
        beneath: Sequence[str] = (),
    ) -> None:
        self._home = home
        self._ledger = Ledger(home)
        self._describe = describe or (lambda name: spec(name, home))
        self._supervisor = supervisor
        self._beneath = beneath
        self._cpu: dict[int, tuple[float, float]] = {}

    # Looking: writes nothing

    def look(self) -> tuple[ProcessLook, ...]:
        """All processes that run, shall run, or were stopped; by kind, then by number."""
        plan, seen, supervised = self._ledger.plan(), self._ledger.seen(), self._ledger.is_supervised()
        known = {**plan.wanted, **seen.records}
        ordered = sorted(known, key=lambda name: (KINDS.index(kind_of(name)), len(name), name))
        return tuple(
            self._look_at(name, plan.wanted.get(name), seen.records.get(name), supervised) for name in ordered
        )

    def log(self, name: str) -> LogReader:
        """A reader of a process's log.

        Raises:
            InputError: no process is called so.
        """
        kind_of(name)
        return LogReader(log_file(self._home, name))

    def supervisor_pid(self) -> int | None:
        """Who supervises; None when nobody does."""
        return self._ledger.seen().pid if self._ledger.is_supervised() else None

    # Saying what shall run

    def start(self, target: str, copies: int = 1) -> tuple[str, ...]:
        """Let processes run, with the settings of now; what runs already is left as it is. Gives their names.

        Args:
            target: a name like ``worker-2``, or a kind: then its first ``copies``.
            copies: of a kind.

        Raises:
            InputError: there is no such process.
            EngineError: no supervisor can be started.
        """
        chosen = names(target, copies) if target in KINDS else [target]
        if any(kind_of(name) in PROGRAMS for name in chosen):
            chosen = [*self._beneath, *chosen]
        specs = [self._describe(name) for name in chosen]
        with self._changing() as wanted:
            for described in specs:
                before = wanted.get(described.name)
                if before is None or not before.run:
                    launch = before.launch + 1 if before else 1
                    wanted[described.name] = Wanted(spec=described, launch=launch)
        return tuple(chosen)

    def stop(self, target: str) -> tuple[str, ...]:
        """Stop a process, all of a kind, or ``all``: asked to finish first, killed when it takes too long."""
        with self._changing() as wanted:
            chosen = _chosen(target, wanted)
            wanted |= {name: replace(wanted[name], run=False) for name in chosen}
        return chosen

    def restart(self, target: str) -> tuple[str, ...]:
        """Stop and start again, with the settings they were started with; ``target`` as in :meth:`stop`."""
        with self._changing() as wanted:
            chosen = _chosen(target, wanted)
            wanted |= {name: wanted[name].again() for name in chosen}
        return chosen

    def scale(self, kind: str, copies: int) -> tuple[str, ...]:
        """Let exactly so many of a kind run; those with the highest numbers go. Gives the names that stay."""
        kept = names(kind, copies)
        if copies:
            self.start(kind, copies)
        with self._changing() as wanted:
            for name in [name for name in wanted if kind_of(name) == kind and name not in kept]:
                del wanted[name]
        return tuple(kept)

    def run_exactly(self, specs: Sequence[ProcessSpec]) -> None:
        """Let these run and nothing else; what already runs in just this way goes on."""
        with self._changing() as wanted:
            before = dict(wanted)
            wanted.clear()
            for described in specs:
                old = before.get(described.name)
                if old and old.run and old.spec == described:
                    wanted[described.name] = old
                else:
                    wanted[described.name] = Wanted(spec=described, launch=old.launch + 1 if old else 1)

    def settled(
        self,
        chosen: Sequence[str],
        *,
        seconds: float = SETTLE_SECONDS,
        on_change: Callable[[ProcessLook], None] = lambda look: None,
    ) -> tuple[ProcessLook, ...]:
        """Wait until these have arrived where they shall be, or have failed to; tells every change on the way."""
        give_up_at = time.monotonic() + seconds
        on_their_way = filter(self._is_on_its_way, self.look())
        # A stop that has begun by now began after it was asked for: that is a change, too.
        told = {look.name: look.state for look in on_their_way if look.state != STOPPING}
        while True:
            looks = [look for look in self.look() if look.name in chosen]
            for look in looks:
                if told.get(look.name) != look.state:
                    told[look.name] = look.state
                    on_change(look)
            if time.monotonic() > give_up_at or not any(self._is_on_its_way(look) for look in looks):
                return tuple(looks)
            time.sleep(POLL_SECONDS)

    # How

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Wanted]]:
        """Change what is wanted, and see to it that somebody supervises it."""
        with self._ledger.turn():
            plan = self._ledger.plan()
            wanted = dict(plan.wanted)
            yield wanted
            if wanted != plan.wanted:
                self._ledger.write_plan(Plan(wanted=wanted, supervisor=plan.supervisor))
        self._ensure_supervisor()

    def _is_done(self) -> bool:
        """Whether nothing runs and nothing shall."""
        records = self._ledger.seen().records.values()
        return not any(want.run for want in self._ledger.plan().wanted.values()) and not any(
            record.identity and find(record.identity) for record in records
        )

    def _ensure_supervisor(self) -> None:
        if self._is_done() or self._is_supervised():
            return
        log = self._home / "logs" / "supervisor.log"
        with log.open("ab") as output:
            began = subprocess.run(
                self._supervisor, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        give_up_at = time.monotonic() + BEGIN_SECONDS
        while not (self._is_supervised() or self._is_done()):
            if began.returncode or time.monotonic() > give_up_at:
                said = " ".join(last_lines(log, 1))
                raise EngineError(f"No supervisor of processes can be started. {log} says: {said}")
            time.sleep(POLL_SECONDS)

    def _is_supervised(self) -> bool:
        """Whether somebody supervises and means to go on: one who leaves signs off in the plan first."""
        return self._ledger.is_supervised() and bool(self._ledger.plan().supervisor)

    def _is_on_its_way(self, look: ProcessLook) -> bool:
        want, record = self._ledger.plan().wanted.get(look.name), self._ledger.seen().records.get(look.name)
        if record is None or want is None:
            return look.state not in (STOPPED, FAILED)
        if want.run and record.launch != want.launch:
            return True
        return look.state in (STARTING, STOPPING) or (not want.run and look.state != STOPPED)

    def _look_at(
        self, name: str, want: Wanted | None, record: Record | None, supervised: bool
    ) -> ProcessLook:
        shall_run = want is not None and want.run
        if record is None:
            state = STARTING if supervised else FAILED
            return ProcessLook(name=name, kind=kind_of(name), state=state if shall_run else STOPPED)
        process = find(record.identity) if record.identity else None
        state = record.state
        if not supervised:
            state = RUNNING if process else FAILED if shall_run else STOPPED
        elif state == RUNNING and process is None:
            state = STARTING  # it has ended, and the supervisor is about to see it
        look = ProcessLook(
            name=name,
            kind=record.kind,
            state=state,
            since=_wall_clock(record.since) if state == record.state else None,
            restarts=record.restarts,
            last_end=record.last_end,
            note="" if supervised or state == STOPPED else UNSUPERVISED,
            log=tuple(last_lines(log_file(self._home, name), LOG_LINES)),
            port=_port(want.spec) if want and want.spec.kind == "web" else None,
        )
        return self._measured(look, process) if process else look

    def _measured(self, look: ProcessLook, process: psutil.Process) -> ProcessLook:
        with suppress(psutil.Error):
            with process.oneshot():
                times, rss, began = process.cpu_times(), process.memory_info().rss, process.create_time()
            uptime = max(0.0, time.time() - began)
            used, now = times.user + times.system, time.monotonic()
            used_before, before = self._cpu.get(process.pid, (0.0, now - uptime))
            self._cpu[process.pid] = (used, now)
            cpu = 100 * (used - used_before) / max(now - before, 0.01)
            return replace(look, pid=process.pid, uptime=uptime, cpu=max(0.0, cpu), rss=rss)
        return look


def _port(described: ProcessSpec) -> int | None:
    told = described.environment.get("PORT", "")
    return int(told) if told.isdecimal() else None


def _chosen(target: str, wanted: Mapping[str, Wanted]) -> tuple[str, ...]:
    chosen = tuple(name for name in wanted if target in (name, kind_of(name), "all"))
    if not chosen and target not in (*KINDS, "all"):
        kind_of(target)
        raise InputError(f"{target} was never started: fixionmail processes list shows what there is.")
    return chosen


def _wall_clock(monotonic: float) -> datetime | None:
    """A moment of this machine's monotonic clock as a time of day; None when it was before the machine's start."""
    ago = time.monotonic() - monotonic
    return datetime.now(UTC) - timedelta(seconds=ago) if ago >= 0 else None
