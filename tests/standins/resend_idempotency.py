"""Idempotency keys as Resend keeps them: 24 hours, with the request they came with and its answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.standins import resend_errors as errors
from tests.standins.clock import Clock

KEPT_SECONDS = 24 * 3600.0


@dataclass(kw_only=True)
class Entry:
    """A key in use. ``answer`` is None while the first request is in progress."""

    digest: bytes
    at: float
    answer: bytes | None = None


class IdempotencyKeys:
    """The keys of the last 24 hours. A request that is refused gives its key free again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}

    @contextmanager
    def first_use(self, key: str, digest: bytes) -> Iterator[Entry]:
        """Hold ``key`` for a request with this digest.

        Yields its entry: with the answer given before, when there was one; otherwise the caller puts the answer in.

        Raises:
            ResendError: the key is malformed, in progress, or was used with another request.
        """
        if not 1 <= len(key) <= 256:
            raise errors.invalid_idempotency_key()
        entry = self._enter(key, digest)
        try:
            yield entry
        finally:
            if entry.answer is None:
                with self._lock:
                    del self._entries[key]

    def _enter(self, key: str, digest: bytes) -> Entry:
        now = self._clock.now()
        with self._lock:
            known = self._entries.get(key)
            if known is None or (known.answer is not None and known.at <= now - KEPT_SECONDS):
                known = self._entries[key] = Entry(digest=digest, at=now)
                return known
        if known.digest != digest:
            raise errors.other_payload()
        if known.answer is None:
            raise errors.still_in_progress()
        return known
