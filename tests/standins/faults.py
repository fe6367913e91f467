"""Which requests a stand-in spoils, and how: by rule, a number of times or at a random rate."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong. "Executed" means that the request took effect: committed, or mails sent."""

    LOST_REQUEST = "lost_request"  # connection reset, not executed
    LOST_REPLY = "lost_reply"  # executed, connection reset instead of an answer
    SLOW_REQUEST = "slow_request"  # waits, then executes and answers, whether or not the client still listens
    SLOW_REPLY = "slow_reply"  # executes, then waits, then answers
    TRUNCATED_REPLY = "truncated_reply"  # executed, the answer's body breaks off half-way
    BAD_STATUS = "bad_status"  # not executed, an HTML error page with ``status``
    BAD_STATUS_AFTER = "bad_status_after"  # executed, and still an HTML error page with ``status``
    WRONG_COUNT = "wrong_count"  # executed, one id too few in the answer (mail only)


@dataclass(frozen=True, kw_only=True)
class FaultRule:
    """When a fault strikes.

    Args:
        match: part of the request's label (a function's name, or method and path); empty matches all.
        times: how many more requests it strikes; None means for ever.
        rate: probability from 0 to 1 for each matching request.
        seconds: how long slow faults wait.
        status: HTTP status of bad_status faults.
    """

    fault: Fault
    match: str = ""
    times: int | None = 1
    rate: float = 1.0
    seconds: float = 0.0
    status: int = 502


class FaultPlan:
    """The rules in force. At most one of them, the first that applies, strikes a request."""

    def __init__(self, *, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._rules: list[FaultRule] = []
        self._random = random.Random(seed)
        self._struck: Counter[str] = Counter()

    def add(
        self,
        fault: Fault,
        *,
        match: str = "",
        times: int | None = 1,
        rate: float = 1.0,
        seconds: float = 0.0,
        status: int = 502,
    ) -> None:
        """Put a rule in force behind those already there; arguments as in :class:`FaultRule`."""
        rule = FaultRule(fault=fault, match=match, times=times, rate=rate, seconds=seconds, status=status)
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Take every rule out of force."""
        with self._lock:
            self._rules.clear()

    def struck(self) -> dict[str, int]:
        """How often each kind of fault has struck so far."""
        with self._lock:
            return dict(self._struck)

    def take(self, label: str) -> FaultRule | None:
        """The rule that strikes the request called ``label``, if any; it counts as used."""
        with self._lock:
            for place, rule in enumerate(self._rules):
                if rule.match in label and (rule.rate >= 1 or self._random.random() < rule.rate):
                    self._use(place, rule)
                    return rule
        return None

    def _use(self, place: int, rule: FaultRule) -> None:
        self._struck[rule.fault] += 1
        if rule.times is None:
            return
        if rule.times <= 1:
            del self._rules[place]
        else:
            self._rules[place] = replace(rule, times=rule.times - 1)
