"""What a deployment did before now: samples kept on this machine, in ``console.sqlite`` under FIXIONMAIL_HOME.

A sample stands for ten seconds for six hours, for a minute for seven days, for an hour for a year. Writing happens in
a thread of its own, so that a look never waits for the disk; a history that cannot be written is left out.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fixionmail.ops.views.section import Target
from fixionmail.ops.views.snapshot import Snapshot

FILE_NAME = "console.sqlite"
BUSY_SECONDS = 2.0
WAITING_SAMPLES = 64
PRUNE_EVERY_SECONDS = 600.0
CLOSE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Grain:
    """How fine samples are, and how long they are kept, in seconds."""

    seconds: int
    kept: int


GRAINS = (
    Grain(seconds=10, kept=6 * 3600),
    Grain(seconds=60, kept=7 * 86_400),
    Grain(seconds=3600, kept=365 * 86_400),
)
_SCHEMA = """\
create table if not exists samples (
  target text not null, series text not null, grain integer not null, slot integer not null,
  total real not null, count integer not null,
  primary key (target, grain, series, slot)
) without rowid"""
_ADD = """\
insert into samples values (?, ?, ?, ?, ?, 1)
on conflict do update set total = total + excluded.total, count = count + 1"""
_READ = """\
select series, cast((slot * grain - :since) / :width as integer) as point, sum(total) / sum(count) from samples
where target = :target and grain = :grain and slot * grain >= :since and slot * grain < :now group by series, point"""
_PRUNE = "delete from samples where grain = ? and slot < ?"


Curve = tuple[float | None, ...]
"""Values over a span of time, oldest first, at equal distances; None where nobody looked."""


def grain_for(seconds: int) -> Grain:
    """The finest grain that reaches so far back."""
    return next((grain for grain in GRAINS if grain.kept >= seconds), GRAINS[-1])


def series_of(snapshot: Snapshot) -> dict[str, float]:
    """The values of a look that are worth keeping; what is not known is left out."""
    values: dict[str, float] = {}
    queues = snapshot.queues.value or ()
    for each in queues:
        values[f"waiting:{each.name}"] = float(each.waiting)
        if each.out_per_minute is not None:
            values[f"done:{each.name}"] = each.out_per_minute
    if queues:
        values["waiting"] = float(sum(each.waiting for each in queues))
    rates = [each.out_per_minute for each in queues if each.out_per_minute is not None]
    if rates:
        values["done"] = sum(rates)
    if snapshot.deliveries.value is not None:
        values["due"] = float(snapshot.deliveries.value.due)
    return values


class History:
    """The samples of one deployment.

    Args:
        home: FIXIONMAIL_HOME; the folder is made when it is missing.
        target: which deployment; the histories of several may lie in one file.
    """

    def __init__(self, home: Path, target: Target) -> None:
        self._path = home / FILE_NAME
        self._target = f"{target.redis} {target.database}"
        self._waiting: queue.Queue[tuple[float, Mapping[str, float]] | None] = queue.Queue(WAITING_SAMPLES)
        self._writer = threading.Thread(target=self._write_all, name="history", daemon=True)
        self._writer.start()

    def record(self, snapshot: Snapshot) -> None:
        """Keep a look. Returns at once; when the disk does not keep up, the sample is dropped."""
        with suppress(queue.Full):
            self._waiting.put_nowait((snapshot.taken_at.timestamp(), series_of(snapshot)))

    def curves(self, seconds: int, points: int, now: float) -> dict[str, Curve]:
        """The last ``seconds`` of every series, as so many points of means each."""
        wanted = {
            "target": self._target,
            "grain": grain_for(seconds).seconds,
            "since": now - seconds,
            "now": now,
            "width": seconds / points,
        }
        found: dict[str, list[float | None]] = {}
        if not self._path.exists():
            return {}
        with suppress(sqlite3.Error), self._connected() as connection:
            for series, point, value in connection.execute(_READ, wanted):
                found.setdefault(series, [None] * points)[min(points - 1, point)] = float(value)
        return {series: tuple(values) for series, values in found.items()}

    def close(self) -> None:
        """Write what waits, for a moment at most."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._writer.join(CLOSE_SECONDS)

    def _write_all(self) -> None:
        with suppress(sqlite3.Error, OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._connected() as connection:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = normal")
                connection.execute(_SCHEMA)
                self._drain(connection)

    def _drain(self, connection: sqlite3.Connection) -> None:
        pruned_at = 0.0
        while (sample := self._waiting.get()) is not None:
            at, values = sample
            with (
                suppress(sqlite3.OperationalError),
                connection,
            ):  # locked, or the disk is full: the next may go
                self._add(connection, at, values)
                if at - pruned_at > PRUNE_EVERY_SECONDS:
                    pruned_at = at
                    _prune(connection, at)

    def _add(self, connection: sqlite3.Connection, at: float, values: Mapping[str, float]) -> None:
        connection.executemany(
            _ADD,
            [
                (self._target, series, grain.seconds, int(at // grain.seconds), value)
                for series, value in values.items()
                for grain in GRAINS
            ],
        )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS)) as connection:
            yield connection


def _prune(connection: sqlite3.Connection, now: float) -> None:
    for grain in GRAINS:
        connection.execute(_PRUNE, (grain.seconds, int((now - grain.kept) // grain.seconds)))
