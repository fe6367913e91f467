"""Going through all keys of a server in parts of a few milliseconds, as many under way as the distance allows.

A scan is one chain: each part begins where the one before ended. So that a server far away need not be waited for
between any two of them, a script that reads nothing says beforehand where the next parts will end, and these are asked
for one after another, no faster than the server can do them: others find it free in between.

Where keys have come or gone meanwhile, a part may end elsewhere: what was read behind it is left aside, and the scan
goes on from there. So what is told is always one chain, and every key that stays is in it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from fixionmail.jobs.worker.scripts import Script
from fixionmail.ops.connection import RedisReader, load_script

_AHEAD = load_script("scan_ahead")
PART_SECONDS = 0.003
"""How long a part holds Redis up, by its own clock, as far as the parts before it tell."""
PACE_SECONDS = 0.0035
"""How long after one part the next may leave."""
FIRST_PART = 500
"""Keys, before it is known how long one takes, or where the server does not say."""
LEAST_PART, MOST_PART = 50, 2000
AT_A_TIME = 12
"""Parts under way at most: more than a round trip of 30 ms has room for."""
_EDGE = b"0"
"""The cursor at either end of a scan."""


class _Read(NamedTuple):
    end: bytes
    seconds: float
    """The server's own."""
    round_trip: float
    found: Any


class _Part(NamedTuple):
    keys: int
    end: bytes
    reading: Future[_Read]


def scan(reader: RedisReader, script: Script) -> Iterator[tuple[int, Any]]:
    """Run ``script`` over all keys: of each part about how many keys it was, and what the script found.

    Args:
        reader: the Redis.
        script: Gets a cursor and how many keys are a part, scans once, and returns the cursor behind it, the
            microseconds it took (0 where the server has no clock), and what it found.

    Raises:
        RedisUnreachableError: with the reason in words.
    """
    yield from _Scan(reader, script).run()


class _Scan:
    def __init__(self, reader: RedisReader, script: Script) -> None:
        self._reader, self._script = reader, script
        self._threads = ThreadPoolExecutor(AT_A_TIME + 1, thread_name_prefix="scan")
        self._round_trip: float | None = None
        self._key_seconds = 0.0
        self._next_at = 0.0

    def run(self) -> Iterator[tuple[int, Any]]:
        place: bytes | None = _EDGE
        try:
            while place is not None:
                place = yield from self._chain(place)
        finally:
            self._threads.shutdown(cancel_futures=True)

    def _chain(self, begin: bytes) -> Generator[tuple[int, Any], None, bytes | None]:
        """Go on from ``begin`` while parts end where and when they should; returns where to go on, None at the end."""
        ahead: Future[tuple[int, list[bytes]]] | None = self._look_ahead(begin)
        announced: deque[tuple[int, bytes]] = deque()
        reading: deque[_Part] = deque()
        while True:
            if ahead is not None and not announced:
                keys, ends = ahead.result()
                announced.extend((keys, end) for end in ends)
                ahead = self._look_ahead(ends[-1]) if ends[-1] != _EDGE else None
            while announced and len(reading) < self._width:
                keys, end = announced.popleft()
                self._pace()
                reading.append(_Part(keys, end, self._threads.submit(self._read, begin, keys)))
                begin = end
            part = reading.popleft()
            read = part.reading.result()
            self._learn(part.keys, read)
            yield part.keys, read.found
            if read.end == _EDGE:
                return None
            if read.end != part.end or part.keys > 2 * self._part:
                for other in reading:
                    other.reading.cancel()
                return read.end

    @property
    def _width(self) -> int:
        return min(AT_A_TIME, 2 + int((self._round_trip or 0.0) / PART_SECONDS))

    @property
    def _part(self) -> int:
        if not self._key_seconds:
            return FIRST_PART
        return min(MOST_PART, max(LEAST_PART, int(PART_SECONDS / self._key_seconds)))

    def _pace(self) -> None:
        time.sleep(max(0.0, self._next_at - time.monotonic()))
        self._next_at = time.monotonic() + PACE_SECONDS

    def _learn(self, keys: int, read: _Read) -> None:
        self._round_trip = min(self._round_trip or read.round_trip, read.round_trip)
        took = read.seconds / keys
        self._key_seconds += (took - self._key_seconds) * (0.2 if self._key_seconds else 1.0)

    def _look_ahead(self, begin: bytes) -> Future[tuple[int, list[bytes]]]:
        keys = self._part
        self._pace()
        return self._threads.submit(lambda: (keys, self._reader.run(_AHEAD, (begin, keys))))

    def _read(self, begin: bytes, keys: int) -> _Read:
        began = time.perf_counter()
        end, microseconds, found = self._reader.run(self._script, (begin, keys))
        seconds = microseconds / 1_000_000
        return _Read(end, seconds, max(0.0, time.perf_counter() - began - seconds), found)
