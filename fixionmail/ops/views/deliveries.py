"""One delivery, as people see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fixionmail.ops.views.jobs import TimelineEvent


@dataclass(frozen=True, kw_only=True)
class DeliveryDetail:
    """All that the database knows about one delivery.

    Attributes:
        subscriber: the address it went to, or would go to now.
        facts: what it is, by name.
        timeline: what happened to it, oldest first.
        evidence: why nobody is certain what became of it; empty where somebody is.
        advice: what may be done about it, in a sentence; empty where nothing needs to be.
    """

    delivery_id: str
    state: str
    subscriber: str
    facts: Mapping[str, str]
    timeline: tuple[TimelineEvent, ...]
    evidence: tuple[str, ...] = ()
    advice: str = ""
