"""Runs a loop: keeps its lease, calls its tick, reports, and stops when told. What a tick does is not its business."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from fixionmail.errors import FixionMailError
from fixionmail.loops.lease import RENEW_EVERY_SECONDS, Leadership
from fixionmail.loops.presence import Presence
from fixionmail.store import Store

RETRY_SECONDS = 5.0
"""After a tick that failed; jitter is added."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a tick did. ``next_at``: when there will be work before the next regular tick, on the database's clock."""

    counts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    next_at: datetime | None = None


Tick = Callable[[int, datetime], Report]
"""A tick takes the fencing token and the time (the database's) and reports. It raises what it cannot handle."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A loop by name (which is also its lease's), how often it ticks, and what its process reports about itself."""

    name: str
    interval_seconds: float
    tick: Tick
    info: Callable[[], Mapping[str, Any]] = dict


class Runner:
    """One copy of a loop."""

    def __init__(self, store: Store, loop: Loop) -> None:
        self._loop = loop
        self._log = structlog.get_logger(f"fixionmail.{loop.name}")
        self._presence = Presence(store.leases, loop.name)
        self._lead = Leadership(store.leases, loop.name, self.process)
        self._last: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._renewing, self._ticking = threading.Lock(), threading.Lock()
        self._stopped = False
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    @property
    def process(self) -> str:
        """The name under which this copy leads and reports."""
        return self._presence.process

    def start(self) -> None:
        """Begin to keep the lease and to tick, in threads of our own."""
        soon = datetime.now(UTC)
        self._scheduler.add_job(
            self._keep_lease,
            "interval",
            seconds=RENEW_EVERY_SECONDS,
            id="lease",
            next_run_time=soon,
            max_instances=2,  # one may be wanted at once while another is under way
        )
        self._scheduler.add_job(
            self._tick, "interval", seconds=self._loop.interval_seconds, id="tick", next_run_time=None
        )
        self._scheduler.start()
        self._log.info("started", process=self.process, every_s=self._loop.interval_seconds)

    def stop(self) -> None:
        """Let a tick under way end, give the lease up, and take the process off the list."""
        # APScheduler waits for what runs with its own lock held, which what runs needs to set its next time:
        # so let it end first, and let nothing begin.
        with self._ticking, self._renewing:
            self._stopped = True
        self._scheduler.shutdown(wait=True)
        self._lead.release()
        self._presence.sign_off()
        self._log.info("stopped", process=self.process)

    def _keep_lease(self) -> None:
        with self._renewing:
            if not self._stopped:
                self._renew()

    def _renew(self) -> None:
        self._told = self._news()
        info = {**self._loop.info(), **self._last}
        if self._lead.renew({**info, "host": socket.gethostname(), "pid": os.getpid()}):
            self._tick_in(0)
        self._presence.beat({**info, "leads": self._lead.fence is not None})

    def _tick_in(self, seconds: float) -> None:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        self._scheduler.modify_job("tick", next_run_time=at)
        self._last["next_tick_at"] = at.isoformat()

    def _tick(self) -> None:
        with self._ticking:
            if not self._stopped:
                self._tick_once()
                self._tell_news()

    def _tell_news(self) -> None:
        """Whoever looks sees what a tick has changed at once, not only when the lease is renewed anyway."""
        if self._news() != self._told:
            self._scheduler.modify_job("lease", next_run_time=datetime.now(UTC))

    def _news(self) -> dict[str, Any]:
        """What people wait to hear: that it ticks, what holds it up, and what went wrong."""
        last = self._last
        return {"ticks": "last_tick_at" in last, "note": last.get("note"), "error": last.get("error")}

    def _tick_once(self) -> None:
        fence, now = self._lead.fence, self._lead.now
        if fence is None or now is None:
            return
        pause = self._loop.interval_seconds
        try:
            report = self._loop.tick(fence, now)
        except FixionMailError as error:
            self._log.warning("tick failed", reason=str(error))
            self._last |= {"error": str(error)}
            pause = RETRY_SECONDS * random.uniform(1.0, 2.0)
        except Exception as error:  # a loop's boundary: whatever it is, the next tick tries again
            self._log.error("tick failed", error=type(error).__name__, exc_info=error)
            self._last |= {"error": f"{type(error).__name__}: {error}"}
            pause = RETRY_SECONDS * random.uniform(1.0, 2.0)
        else:
            self._reported(report)
            if report.next_at is not None:
                wait = (report.next_at - now).total_seconds()
                pause = min(pause, max(wait, 0.2))
        self._tick_in(pause)

    def _reported(self, report: Report) -> None:
        self._last = {
            "last_tick_at": datetime.now(UTC).isoformat(),
            "counts": dict(report.counts),
            "note": report.note,
        }
        if report.counts or report.note:
            self._log.info("tick", **report.counts, note=report.note)
