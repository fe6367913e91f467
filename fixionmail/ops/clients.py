"""Who sends Redis how many commands: as our processes count themselves, others as the server counts them.

Hosted servers bill every command. MONITOR, which would tell all, slows a server down to half and is never used; and the
server's own count of a connection holds what scripts do inside, too, so it is no measure of what ours send.
"""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import psutil

from fixionmail.jobs.worker.connections import commands_sent
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.views.database import ProcessView
from fixionmail.ops.views.redis import ClientCost

COUNT = "tot-cmds"
"""Of a connection, in CLIENT LIST; Valkey tells it from 8.0 on."""
REPORTED = "redis_commands"
"""In what our processes report to the database: commands sent since they began."""
LEAST_SECONDS = 30.0
"""What was counted for a shorter time, such as the burst at a start, says nothing about a month."""


def pids_by_address() -> dict[str, int]:
    """Which process of this machine is at which end of a connection."""
    with suppress(psutil.Error, OSError):
        links = psutil.net_connections("tcp")
        return {f"{e.laddr.ip}:{e.laddr.port}": e.pid for e in links if e.laddr and e.raddr and e.pid}
    return {}


class ClientCounts:
    """Reads the counts again and again; the server's rates are those since the time before.

    Args:
        reader: the Redis.
        pids: which process is at which address.
    """

    def __init__(self, reader: RedisReader, pids: Callable[[], Mapping[str, int]] = pids_by_address) -> None:
        self._reader = reader
        self._pids = pids
        self._began, self._sent = time.monotonic(), commands_sent()
        self._before: dict[str, tuple[float, int]] = {}

    def look(self, processes: Sequence[ProcessView], now: datetime) -> tuple[ClientCost, ...]:
        """Who costs most first.

        Raises:
            RedisUnreachableError: with the reason in words.
        """
        found = [*self._counted(processes, now.timestamp()), *reported(processes, now), self._ourselves()]
        return tuple(sorted(found, key=lambda cost: (-(cost.per_minute or 0.0), -cost.commands, cost.name)))

    def _ourselves(self) -> ClientCost:
        sent = commands_sent() - self._sent
        rate = per_minute(sent, time.monotonic() - self._began)
        return ClientCost(name="this console", connections=None, commands=sent, per_minute=rate)

    def _counted(self, processes: Sequence[ProcessView], now: float) -> Iterator[ClientCost]:
        """Clients that do not count themselves, as far as the server counts."""
        rows = [row for row in self._reader.clients() if row.get(COUNT, "").isdecimal()]
        before, self._before = self._before, {row["id"]: (now, int(row[COUNT])) for row in rows}
        pids, ours = self._pids(), _our_pids(processes)
        together: defaultdict[str, list[tuple[int, float | None]]] = defaultdict(list)
        for row in rows:
            pid = pids.get(row.get("addr", ""))
            if pid not in ours:
                count = int(row[COUNT])
                then, counted = before.get(row["id"], (now - _whole(row.get("age")), 0))
                together[_name(row, pid)].append((count, per_minute(count - counted, now - then)))
        for name, counts in together.items():
            yield ClientCost(
                name=name,
                connections=len(counts),
                commands=sum(count for count, _ in counts),
                per_minute=_sum(rate for _, rate in counts),
            )


def reported(processes: Sequence[ProcessView], now: datetime) -> Iterator[ClientCost]:
    """What our processes say of themselves, over their whole lives."""
    for process in processes:
        count = process.info.get(REPORTED)
        if isinstance(count, int):
            rate = per_minute(count, (now - process.started_at).total_seconds())
            name = f"{process.kind} on {process.host}, pid {process.pid}"
            yield ClientCost(name=name, connections=None, commands=count, per_minute=rate)


def per_minute(commands: int, seconds: float) -> float | None:
    """The rate of so many commands in so many seconds; None where that is too short a time."""
    return commands / seconds * 60 if seconds >= LEAST_SECONDS else None


def _our_pids(processes: Sequence[ProcessView]) -> set[int | None]:
    """Those of this machine that count themselves."""
    here = socket.gethostname()
    theirs = {p.pid for p in processes if p.host == here and isinstance(p.info.get(REPORTED), int)}
    return {os.getpid(), *theirs}


def _name(row: Mapping[str, str], pid: int | None) -> str:
    """The name that the client gave itself, or the program at the other end, or else where it is."""
    if row.get("name"):
        return row["name"]
    if pid is not None:
        with suppress(psutil.Error):
            return f"{psutil.Process(pid).name()}, pid {pid}"
    host = row.get("addr", "").rpartition(":")[0] or "a client"
    library = row.get("lib-name", "")
    return f"{library} at {host}" if library else host


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
