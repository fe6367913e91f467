"""The supervisor of a home: one process that brings what runs in line with what is wanted, for as long as that is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import getpid
from pathlib import Path
from uuid import uuid4

import structlog

from fixionmail.engine import Engine
from fixionmail.errors import EngineError
from fixionmail.processes import redis
from fixionmail.processes.handles import Adopted, BundledServer, Child, Handle
from fixionmail.processes.identity import find
from fixionmail.processes.keeper import STOPPED, Keeper
from fixionmail.processes.ledger import Ledger, Plan, Record, Seen, Wanted
from fixionmail.processes.logs import put_away
from fixionmail.processes.pace import Pace
from fixionmail.processes.spec import PROGRAMS, SERVERS, ProcessSpec
from fixionmail.store import embedded

TAKE_OVER_SECONDS = 10.0

_log = structlog.get_logger("fixionmail.supervisor")


def log_file(home: Path, name: str) -> Path:
    """Where the process of this name writes its log."""
    return home / name / "server.log" if name in SERVERS else home / "logs" / f"{name}.log"


def _engine_of(home: Path, kind: str) -> Engine:
    return embedded.engine_of(home) if kind == "postgres" else redis.engine_of(home)


def _start_server(home: Path, spec: ProcessSpec) -> Handle:
    if spec.kind == "postgres":
        return BundledServer(embedded.engine_of(home))
    url = spec.environment.get("REDIS_URL")
    place = redis.place_of(url) if url else None
    return BundledServer(redis.engine_of(home, place), place.port if place else None)


class Supervisor:
    """Supervises one home; see :func:`supervise` and :func:`supervising`, which make sure that it is the only one."""

    def __init__(self, home: Path, pace: Pace, *, in_foreground: bool = False) -> None:
        self._home = home
        self._ledger = Ledger(home)
        self._pace = pace
        self._in_foreground = in_foreground
        self._token = uuid4().hex
        self._keepers: dict[str, Keeper] = {}
        self._plan = Plan()
        self._plan_version: tuple[int, int] | None = None
        self._written: Seen | None = None

    def run(self, stop: threading.Event) -> None:
        """Supervise until told to stop, and stop everything then; or until there is nothing left to supervise.

        In the background it also leaves, without touching anything, when another supervisor takes over.
        """
        self._change_plan(lambda plan: replace(plan, supervisor=self._token))
        self._adopt()
        while not stop.is_set():
            self._safely(self.step)
            if not self._in_foreground and (self._is_relieved() or self._is_idle()):
                return
            stop.wait(self._pace.look_every)
        self._stop_everything()

    def step(self) -> None:
        """Look at everything once."""
        self._read_plan()
        self._step_each(self._plan.wanted)
        self._tell()

    # Coming

    def _adopt(self) -> None:
        for name, record in self._ledger.seen().records.items():
            handle: Handle | None = None
            if record.identity is None:
                continue
            if record.kind in SERVERS:
                engine = _engine_of(self._home, record.kind)
                handle = BundledServer(engine) if engine.running() else None
            elif find(record.identity):
                handle = Adopted(record.identity)
            if handle is None:
                record = replace(record, identity=None, last_end="ended while nobody supervised it")
            self._keepers[name] = self._keeper(record, handle)

    def _keeper(self, record: Record, handle: Handle | None = None) -> Keeper:
        return Keeper(record, self._pace, self._start, handle)

    def _start(self, spec: ProcessSpec) -> Handle:
        if spec.kind in SERVERS:
            return _start_server(self._home, spec)
        return Child(spec, log_file(self._home, spec.name))

    # Every look

    def _read_plan(self) -> None:
        version = self._ledger.plan_version()
        if version != self._plan_version:
            self._plan, self._plan_version = self._ledger.plan(), version

    def _step_each(self, wanted: Mapping[str, Wanted], *, leave: bool = False) -> None:
        now = time.monotonic()
        for name, want in wanted.items():
            if name not in self._keepers:
                new = Record(name=name, kind=want.spec.kind, state=STOPPED, since=now, launch=0)
                self._keepers[name] = self._keeper(new)
        programs_go = any(
            k.must_go(wanted.get(n)) for n, k in self._keepers.items() if k.record.kind in PROGRAMS
        )
        for name, keeper in list(self._keepers.items()):
            if programs_go and keeper.record.kind in SERVERS and keeper.must_go(wanted.get(name)):
                continue  # what programs have begun they can only finish while their servers run
            keeper.step(wanted.get(name), now, leave=leave)
            if name not in wanted and keeper.handle is None:
                del self._keepers[name]
            self._safely(partial(self._keep_log_small, name))

    def _keep_log_small(self, name: str) -> None:
        put_away(log_file(self._home, name), larger_than=self._pace.log_bytes, keep=self._pace.logs_kept)

    def _tell(self) -> None:
        records = {name: keeper.record for name, keeper in self._keepers.items()}
        seen = Seen(pid=getpid(), in_foreground=self._in_foreground, records=records)
        if seen != self._written:
            self._ledger.write_seen(seen)
            self._written = seen

    def _safely(self, work: Callable[[], object]) -> None:
        """A boundary: a full disk or a damaged file is told, and does not end supervision."""
        try:
            work()
        except (OSError, EngineError) as error:
            _log.error("supervision is hindered", reason=str(error))

    # Going

    def _is_relieved(self) -> bool:
        return self._plan.supervisor not in (self._token, "")

    def _is_idle(self) -> bool:
        """Whether there is nothing to do; whoever wants something from then on starts another supervisor."""
        if any(keeper.handle for keeper in self._keepers.values()) or _runs_something(self._plan):
            return False
        with self._ledger.turn():
            plan = self._ledger.plan()
            if _runs_something(plan) or plan.supervisor != self._token:
                return False
            self._ledger.write_plan(replace(plan, supervisor=""))
        return True

    def _stop_everything(self) -> None:
        self._safely(lambda: self._change_plan(_nothing_runs))
        nothing = _nothing_runs(self._plan).wanted
        while any(keeper.handle for keeper in self._keepers.values()):
            self._step_each(nothing, leave=True)
            self._safely(self._tell)
            time.sleep(min(self._pace.look_every, 0.1))

    def _change_plan(self, change: Callable[[Plan], Plan]) -> None:
        with self._ledger.turn():
            plan = change(self._ledger.plan())
            self._ledger.write_plan(plan)


def _runs_something(plan: Plan) -> bool:
    return any(want.run for want in plan.wanted.values())


def _nothing_runs(plan: Plan) -> Plan:
    return Plan(wanted={name: replace(want, run=False) for name, want in plan.wanted.items()})


def supervise(home: Path, stop: threading.Event, pace: Pace | None = None) -> bool:
    """Be the home's supervisor until there is nothing to supervise; False when another one is.

    When ``stop`` is set, everything is stopped.
    """
    with Ledger(home).supervising() as is_ours:
        if is_ours:
            Supervisor(home, pace or Pace()).run(stop)
        return is_ours


@contextmanager
def supervising(home: Path, pace: Pace | None = None) -> Iterator[None]:
    """Supervise the home in a thread of this process while inside; everything in it has stopped afterwards.

    A supervisor in the background hands over what it has.

    Raises:
        EngineError: another process does the same, or the files cannot be kept.
    """
    ledger = Ledger(home)
    ledger.prepare()
    if ledger.is_supervised() and ledger.seen().in_foreground:
        raise _runs_already(ledger)
    with ledger.turn():
        ledger.write_plan(replace(ledger.plan(), supervisor=uuid4().hex))
    with ledger.supervising(TAKE_OVER_SECONDS) as is_ours:
        if not is_ours:
            raise _runs_already(ledger)
        stop = threading.Event()
        supervisor = Supervisor(home, pace or Pace(), in_foreground=True)
        thread = threading.Thread(target=supervisor.run, args=[stop], name="supervisor")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _runs_already(ledger: Ledger) -> EngineError:
    return EngineError(
        f"FixionMail already runs here, in process {ledger.seen().pid}: stop that one first, or see what it does "
        "with fixionmail processes list."
    )
