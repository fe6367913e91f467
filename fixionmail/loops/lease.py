"""Leading a loop: a lease in the database, trusted only as long as our own clock says that it cannot have lapsed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from fixionmail.errors import FixionMailError
from fixionmail.store.leases import Leases

TTL_SECONDS = 30.0
RENEW_EVERY_SECONDS = 10.0
SAFETY_SECONDS = 2.0

_log = structlog.get_logger("fixionmail.lease")


class Leadership:
    """One process's part in the lease ``name``. Renewed by one thread, asked by others."""

    def __init__(self, leases: Leases, name: str, holder: str) -> None:
        self._leases = leases
        self._name = name
        self._holder = holder
        self._lock = threading.Lock()
        self._fence: int | None = None
        self._trusted_until = 0.0
        self._seen: tuple[datetime, float] | None = None

    def renew(self, info: Mapping[str, Any]) -> bool:
        """Take or renew the lease, reporting ``info``; True when it was gained with this call.

        Any failure steps down: somebody else may lead already.
        """
        asked_at = time.monotonic()
        try:
            view = self._leases.acquire(
                name=self._name, holder=self._holder, ttl_seconds=TTL_SECONDS, info=info
            )
        except FixionMailError as error:
            self._step_down(str(error))
            return False
        with self._lock:
            self._seen = (view.now, time.monotonic())
            gained = view.held and self._fence != view.fence
            lost = not view.held and self._fence is not None
            self._fence = view.fence if view.held else None
            self._trusted_until = asked_at + TTL_SECONDS - SAFETY_SECONDS
        if gained:
            _log.info("leading", loop=self._name, fence=view.fence)
        elif lost:
            _log.warning("no longer leading", loop=self._name, leader=view.holder)
        return gained

    @property
    def fence(self) -> int | None:
        """The fencing token while we lead, None otherwise."""
        with self._lock:
            return self._fence if time.monotonic() < self._trusted_until else None

    @property
    def now(self) -> datetime | None:
        """The database's clock, counted on from when it was last seen; None before it was."""
        with self._lock:
            if self._seen is None:
                return None
            then, at = self._seen
        return then + timedelta(seconds=time.monotonic() - at)

    def release(self) -> None:
        """Give the lease up, if it is ours."""
        fence = self.fence
        if fence is None:
            return
        self._step_down("stopping")
        try:
            self._leases.release(name=self._name, holder=self._holder, fence=fence)
        except FixionMailError as error:
            _log.warning("the lease could not be released; it lapses", loop=self._name, reason=str(error))

    def _step_down(self, reason: str) -> None:
        with self._lock:
            led, self._fence = self._fence is not None, None
        if led:
            _log.warning("no longer leading", loop=self._name, reason=reason)
