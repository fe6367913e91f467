"""Leases, heartbeats and switches: who leads, who is alive, what is held back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fixionmail.models.jobs import LeaseView
from fixionmail.store.transport import Caller


@dataclass(frozen=True)
class Leases:
    """Database functions of ``004_leases.sql`` and the switches of ``005_audit.sql``."""

    _call: Caller

    def acquire(self, *, name: str, holder: str, ttl_seconds: float, info: Mapping[str, Any]) -> LeaseView:
        """Take or renew a lease; ``held`` tells whether it is ours now. ``info`` is the holder's last report."""
        row = self._call("acquire_lease_v1", name=name, holder=holder, ttl_s=ttl_seconds, info=info)
        return LeaseView(
            held=row["held"],
            holder=row["holder"] or "",
            fence=row["fence"],
            now=datetime.fromisoformat(row["now"]),
        )

    def release(self, *, name: str, holder: str, fence: int) -> None:
        """Give a lease up at once; does nothing when it has passed to somebody else."""
        self._call("release_lease_v1", name=name, holder=holder, fence=fence)

    def heartbeat(
        self,
        *,
        process: str,
        kind: str,
        host: str,
        pid: int,
        version: str,
        started_at: datetime,
        info: Mapping[str, Any],
    ) -> None:
        """Report that a process is alive. ``process`` names it uniquely, ``kind`` is what it runs."""
        self._call(
            "heartbeat_v1",
            process=process,
            kind=kind,
            host=host,
            pid=pid,
            version=version,
            started_at=started_at,
            info=info,
        )

    def forget_process(self, process: str) -> None:
        """Take a process that stops off the list."""
        self._call("forget_process_v1", process=process)

    def set_switch(self, *, name: str, on: bool, by: str, host: str, reason: str) -> bool:
        """Turn ``scheduler_paused`` or ``mail_held`` on or off; False when it was so already."""
        row = self._call("set_switch_v1", name=name, on=on, by=by, host=host, reason=reason)
        return bool(row["verdict"] == "ok")
