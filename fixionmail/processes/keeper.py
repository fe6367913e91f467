"""Keeps one process as it is wanted: starts it, starts it again when it dies, stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from fixionmail.processes.handles import UNKNOWN_END, Handle
from fixionmail.processes.ledger import Record, Wanted
from fixionmail.processes.pace import Pace
from fixionmail.processes.spec import ProcessSpec

RUNNING, STARTING, STOPPING, STOPPED = "running", "starting", "stopping", "stopped"
BACKING_OFF, CRASH_LOOPING, FAILED = "backing off", "crash-looping", "failed"

_log = structlog.get_logger("fixionmail.supervisor")


class Keeper:
    """One process over all its lives.

    Args:
        record: what is known of it.
        handle: the process, when it runs already.
        start: starts it; raises OSError.
    """

    def __init__(
        self, record: Record, pace: Pace, start: Callable[[ProcessSpec], Handle], handle: Handle | None = None
    ) -> None:
        self.record = record
        self.handle = handle
        self._pace = pace
        self._start = start
        self._next_start = 0.0
        self._stop_asked: float | None = None
        self._was_killed = False

    def step(self, want: Wanted | None, now: float, *, leave: bool = False) -> None:
        """Come closer to what is wanted. Never waits.

        Args:
            want: how it shall be; None when it shall be forgotten.
            now: seconds of the monotonic clock.
            leave: when it is to stop, a server stays while others use it.
        """
        shall_run = want is not None and want.run
        if self.handle is not None:
            self._notice_end(self.handle, now)
        if self.handle is None:
            if want is not None and shall_run:
                self._start_when_due(want, now)
        elif self.must_go(want):
            self._stop(self.handle, now, leave=leave)
        self._name_state(shall_run, now)

    def must_go(self, want: Wanted | None) -> bool:
        """Whether something runs that shall not, or shall begin anew."""
        is_wanted = want is not None and want.run and want.launch == self.record.launch
        return self.handle is not None and not is_wanted

    def _notice_end(self, handle: Handle, now: float) -> None:
        how = handle.end()
        if how is None:
            return
        self.handle = None
        if self._stop_asked is not None:
            if self._was_killed:
                how = f"did not stop within {self._pace.stop_limit:g} s and was killed"
            elif how in ("exit code 0", "killed by SIGTERM", UNKNOWN_END):
                how = "stopped"
            self.record = replace(self.record, last_end=how, identity=None, early_ends=0)
            self._stop_asked, self._was_killed, self._next_start = None, False, now
            return
        self._died(how, now)

    def _died(self, how: str, now: float) -> None:
        began = self.record.started_at
        lived = 0.0 if began is None else now - began
        early_ends = 1 if lived >= self._pace.stable else self.record.early_ends + 1
        pause = self._pace.pause(early_ends)
        self.record = replace(self.record, last_end=how, identity=None, early_ends=early_ends)
        self._next_start = now + pause
        _log.warning(
            "a process ended",
            name=self.record.name,
            how=how,
            lived_s=round(lived),
            again_in_s=round(pause, 1),
        )

    def _start_when_due(self, want: Wanted, now: float) -> None:
        if want.launch != self.record.launch:
            self.record = replace(
                self.record, launch=want.launch, started_at=None, restarts=0, early_ends=0, last_end=""
            )
        elif now < self._next_start:
            return
        again = self.record.started_at is not None
        self.record = replace(self.record, started_at=now, restarts=self.record.restarts + again)
        try:
            self.handle = self._start(want.spec)
        except OSError as error:
            self._died(f"cannot be started: {error}", now)

    def _stop(self, handle: Handle, now: float, *, leave: bool) -> None:
        if self._stop_asked is None:
            self._stop_asked = now
            if leave:
                handle.leave()
            else:
                handle.ask_to_stop()
        elif now - self._stop_asked >= self._pace.stop_limit:
            self._was_killed = True
            handle.kill()

    def _name_state(self, shall_run: bool, now: float) -> None:
        identity = self.handle.identity() if self.handle else None
        began = now if self.record.started_at is None else self.record.started_at
        if identity and now - began >= self._pace.stable and self.record.early_ends:
            self.record = replace(self.record, early_ends=0)
        if identity != self.record.identity:
            self.record = replace(self.record, identity=identity)
        state = self._state(shall_run, now - began)
        if state != self.record.state:
            self.record = replace(self.record, state=state, since=now)

    def _state(self, shall_run: bool, lived: float) -> str:
        if self._stop_asked is not None:
            return STOPPING
        if self.handle is None and not shall_run:
            return STOPPED
        if self.record.early_ends >= self._pace.loop_after:
            return CRASH_LOOPING
        if self.handle is None:
            return BACKING_OFF if self.record.early_ends else STARTING
        return RUNNING if self.record.identity and lived >= self._pace.settled else STARTING
