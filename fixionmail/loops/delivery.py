"""The delivery loop: repairs what dead processes left behind and rings for mail that is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fixionmail.jobs.dispatch import Dispatcher
from fixionmail.loops.notes import joined, redis_note
from fixionmail.loops.runner import Report
from fixionmail.mail.send import MAX_BATCH
from fixionmail.models.mail import Outlook
from fixionmail.store.mail import MailLine


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What the loop works with."""

    line: MailLine
    dispatcher: Dispatcher

    def tick(self, fence: int, now: datetime) -> Report:
        """Repair, look at the line, ring when there is something to send; ``next_at``: when there will be."""
        self.dispatcher.look_for_redis()
        tick = self.line.tick(fence=fence, max_size=MAX_BATCH)
        outlook = tick.outlook
        standing = _why_it_stands(outlook)
        if outlook.requests and not standing:
            self.dispatcher.ring_mail(outlook.requests)
        ready = {"due": outlook.due, "to send again": outlook.ready}
        return Report(
            counts={what: n for what, n in {**tick.repairs, **ready}.items() if n},
            note=joined(standing, redis_note(self.dispatcher)),
            next_at=outlook.paused_until or outlook.next_at,
        )


def _why_it_stands(outlook: Outlook) -> str:
    if outlook.held:
        return "mail is held: fixionmail db release opens the line again"
    if outlook.paused_until:
        return f"the line waits until {outlook.paused_until:%H:%M:%S} UTC: {outlook.paused_reason}"
    return ""
