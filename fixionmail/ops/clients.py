"""Who sends Redis how many commands: by the server's own count of each connection, or else by our processes' word.

Hosted servers bill every command. MONITOR, which would tell all, slows a server down to half and is never used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import psutil

from fixionmail.ops.connection import RedisReader
from fixionmail.ops.views.database import ProcessView
from fixionmail.ops.views.redis import ClientCost
from fixionmail.processes.fleet import Fleet

COUNT = "tot-cmds"
"""Of a connection, in CLIENT LIST; Valkey tells it from 8.0 on, Redis from 8.4 on."""
REPORTED = "redis_commands"
"""In what our processes report to the database: commands sent since they began."""


class ClientCounts:
    """Reads the counts again and again; from the second time on, rates are those since the time before.

    Args:
        reader: the Redis.
        fleet: the processes of this machine, which are called by their names.
    """

    def __init__(self, reader: RedisReader, fleet: Fleet) -> None:
        self._reader = reader
        self._fleet = fleet
        self._before: dict[str, tuple[float, int]] = {}

    def look(self, processes: Sequence[ProcessView], now: datetime) -> tuple[ClientCost, ...]:
        """Who costs most first; empty where neither the server nor anybody counts.

        Raises:
            RedisUnreachableError: with the reason in words.
        """
        rows = [row for row in self._reader.clients() if row.get(COUNT, "").isdecimal()]
        found = self._counted(rows, now.timestamp()) if rows else reported(processes, now)
        return tuple(sorted(found, key=lambda cost: (-cost.per_minute, cost.name)))

    def _counted(self, rows: Sequence[Mapping[str, str]], now: float) -> Iterable[ClientCost]:
        names = names_by_port(self._fleet)
        before, self._before = self._before, {row["id"]: (now, int(row[COUNT])) for row in rows}
        together: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            count = int(row[COUNT])
            then, counted = before.get(row["id"], (now - max(1, _whole(row.get("age"))), 0))
            rate = (count - counted) / max(0.1, now - then) * 60
            together.setdefault(_name(row, names), []).append((count, rate))
        for name, counts in together.items():
            yield ClientCost(
                name=name,
                connections=len(counts),
                commands=sum(count for count, _ in counts),
                per_minute=sum(rate for _, rate in counts),
            )


def reported(processes: Sequence[ProcessView], now: datetime) -> Iterable[ClientCost]:
    """What our processes say of themselves, over their whole lives."""
    for process in processes:
        count = process.info.get(REPORTED)
        if isinstance(count, int):
            minutes = max(1.0, (now - process.started_at).total_seconds()) / 60
            name = f"{process.kind} on {process.host}, pid {process.pid}"
            yield ClientCost(name=name, connections=None, commands=count, per_minute=count / minutes)


def names_by_port(fleet: Fleet) -> dict[str, str]:
    """Who on this machine is at which of its ports: a process of ours by its name, others by their program."""
    ours = {look.pid: look.name for look in fleet.look()} | {os.getpid(): "this console"}
    found = {}
    with suppress(psutil.Error, OSError):
        for link in psutil.net_connections("tcp"):
            if link.laddr and link.raddr and link.pid:
                found[f"{link.laddr.ip}:{link.laddr.port}"] = ours.get(link.pid) or _program(link.pid)
    return found


def _program(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()}, pid {pid}"
    except psutil.Error:
        return f"pid {pid}"


def _name(row: Mapping[str, str], names: Mapping[str, str]) -> str:
    """The name that the client gave itself, or the process at the other end, or else where it is."""
    address = row.get("addr", "")
    host = address.rpartition(":")[0] or "a client"
    library = row.get("lib-name", "")
    return row.get("name") or names.get(address) or (f"{library} at {host}" if library else host)


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
