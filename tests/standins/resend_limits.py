"""Resend's limits: requests a second, and mails a day and a month."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from datetime import UTC, datetime

from tests.standins import resend_errors as errors
from tests.standins.clock import Clock


class RateLimit:
    """At most ``limit`` requests in any one second, whoever makes them. None: no limit, and no headers."""

    def __init__(self, limit: int | None, clock: Clock) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._passed: deque[float] = deque()

    def admit(self, now: float) -> dict[str, str]:
        """Let one request that arrived at ``now`` pass; its rate limit headers.

        Raises:
            ResendError: it is one too many.
        """
        if self.limit is None:
            return {}
        with self._lock:
            while self._passed and self._passed[0] <= now - 1:
                self._passed.popleft()
            admitted = len(self._passed) < self.limit
            if admitted:
                self._passed.append(now)
            left = self.limit - len(self._passed)
            reset = math.ceil(self._passed[0] + 1 - now)
        headers = {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(left),
            "ratelimit-reset": str(reset),
        }
        if not admitted:
            raise errors.rate_limited(self.limit, headers | {"retry-after": str(reset)})
        return headers


class Quotas:
    """How many mails may be sent a UTC day and a UTC month; None: no limit, and no header.

    ``retry_after``: the seconds that a refusal names, if any; Resend does not say whether it does.
    """

    def __init__(self, daily: int | None, monthly: int | None, clock: Clock) -> None:
        self.daily = daily
        self.monthly = monthly
        self.retry_after: int | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()

    def spend(self, mails: int) -> None:
        """Count ``mails`` about to be sent.

        Raises:
            ResendError: they do not fit; nothing was counted.
        """
        day, month = self._periods()
        with self._lock:
            if self.daily is not None and self._used[day] + mails > self.daily:
                raise errors.quota_reached("daily", self.retry_after)
            if self.monthly is not None and self._used[month] + mails > self.monthly:
                raise errors.quota_reached("monthly", self.retry_after)
            self._used[day] += mails
            self._used[month] += mails

    def headers(self) -> dict[str, str]:
        """How much has been used so far, as Resend's headers say it."""
        day, month = self._periods()
        headers = {}
        with self._lock:
            if self.daily is not None:
                headers["x-resend-daily-quota"] = str(self._used[day])
            if self.monthly is not None:
                headers["x-resend-monthly-quota"] = str(self._used[month])
        return headers

    def _periods(self) -> tuple[str, str]:
        today = datetime.fromtimestamp(self._clock.now(), UTC).date().isoformat()
        return today, today[:7]
