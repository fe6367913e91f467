"""Who sends Redis how many commands: as our processes count themselves, others as the server counts them.

Hosted servers bill every command. MONITOR, which would tell all, slows a server down to half and is never used; and the
server's own count of a connection holds what scripts do inside, too, so it is no measure of what ours send.
"""

from __future__ import annotations

import os
import socket
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
    """Reads the counts again and again; rates are those since it first saw a client, so that no start is in them.

    Args:
        reader: the Redis.
        pids: which process is at which address.
    """

    def __init__(self, reader: RedisReader, pids: Callable[[], Mapping[str, int]] = pids_by_address) -> None:
        self._reader = reader
        self._pids = pids
        self._sent = commands_sent()
        self._first: dict[str, tuple[datetime, int]] = {}
        """When each client was first seen, and how many commands it had sent by then."""

    def look(self, processes: Sequence[ProcessView], now: datetime) -> tuple[ClientCost, ...]:
        """Who costs most first.

        Raises:
            RedisUnreachableError: with the reason in words.
        """
        found = [
            *self._counted(processes, now),
            *self._reported(processes, now),
            self._cost("this console", commands_sent() - self._sent, now),
        ]
        return tuple(sorted(found, key=lambda cost: (-(cost.per_minute or 0.0), -cost.commands, cost.name)))

    def _cost(self, name: str, commands: int, now: datetime) -> ClientCost:
        """What a client says of itself."""
        return ClientCost(
            name=name, connections=None, commands=commands, per_minute=self._rate(name, commands, now)
        )

    def _rate(self, client: str, commands: int, now: datetime) -> float | None:
        """Commands a minute since it was first seen; None where that is too short a time to say."""
        since, before = self._first.setdefault(client, (now, commands))
        seconds = (now - since).total_seconds()
        return (commands - before) / seconds * 60 if seconds >= LEAST_SECONDS else None

    def _reported(self, processes: Sequence[ProcessView], now: datetime) -> Iterator[ClientCost]:
        for process in processes:
            count = process.info.get(REPORTED)
            if isinstance(count, int):
                yield self._cost(f"{process.kind} on {process.host}, pid {process.pid}", count, now)

    def _counted(self, processes: Sequence[ProcessView], now: datetime) -> Iterator[ClientCost]:
        """Clients that do not count themselves, as far as the server counts."""
        pids, ours = self._pids(), _our_pids(processes)
        together: defaultdict[str, list[tuple[int, float | None]]] = defaultdict(list)
        for row in self._reader.clients():
            pid = pids.get(row.get("addr", ""))
            if pid not in ours and row.get(COUNT, "").isdecimal():
                count = int(row[COUNT])
                together[_name(row, pid)].append((count, self._rate(f"link {row.get('id')}", count, now)))
        for name, counts in together.items():
            yield ClientCost(
                name=name,
                connections=len(counts),
                commands=sum(count for count, _ in counts),
                per_minute=_sum(rate for _, rate in counts),
            )


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
