"""Sending: take what is due, store its bytes, ask for the go, hand it over, record the outcome.

The one path to a subscriber's inbox, the same for workers, for the fallback and for the local outbox. The rules are
in the database (``008_send_once.sql``, ``029_settle.sql``); this walks through them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from uuid_utils.compat import uuid7

from fixionmail import faults
from fixionmail.errors import MailError
from fixionmail.mail.mailer import Mailer
from fixionmail.mail.pacing import SlotClock, SlotMissedError
from fixionmail.mail.render import Mail, Sender, render, request_body
from fixionmail.models.mail import Begun, Letter, Opened, Outcome
from fixionmail.models.verdict import Verdict
from fixionmail.store.mail import MailLine

LEASE_SECONDS = 60.0
"""Longer than a request may take; counted from its slot."""
MAX_BATCH = 100
"""The provider takes no more mails in one request."""
CONNECT_SECONDS = 0.3
"""So long before its slot a request is given to the client, which opens a connection if it has none, and waits."""
MOST_MISSED = 5
"""After so many missed slots in a row a request goes out at once."""


@dataclass
class Round:
    """What one round of sending came to."""

    requests: int = 0
    mails: int = 0
    accepted: int = 0
    stopped_by: str = ""
    """Why the round ended: ``empty``, ``paused: <reason>``, ``later`` or ``time``."""
    missed: int = 0
    """Slots in a row that passed before we were ready."""
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Post:
    """A hand that sends. ``holder`` must be its alone: it tells its claims from everybody else's."""

    line: MailLine
    mailer: Mailer
    sender: Sender
    holder: str
    clock: SlotClock = field(default_factory=SlotClock)

    def send_due(self, *, seconds: float) -> Round:
        """Send what is due until nothing is, the line stands still, or ``seconds`` have passed.

        Raises:
            DatabaseUnreachableError: the database went away; nothing is lost, leases lapse and others go on.
        """
        ends_at = time.monotonic() + seconds
        result = Round()
        while not result.stopped_by:
            if time.monotonic() >= ends_at:
                result.stopped_by = "time"
                break
            opened = self.line.open(
                batch_id=uuid7(), holder=self.holder, lease_seconds=LEASE_SECONDS, max_size=MAX_BATCH
            )
            self._take(opened, result, max(1.0, ends_at - time.monotonic()))
        return result

    def _take(self, opened: Opened, result: Round, patience: float) -> None:
        match opened.verdict:
            case Verdict.EMPTY:
                result.stopped_by = "empty"
            case Verdict.PAUSED:
                result.stopped_by = f"paused: {opened.reason}"
            case Verdict.READY if opened.batch_id:
                self._begin(opened.batch_id, result, patience)
            case Verdict.DRAFT if opened.batch_id and opened.letters:
                if self._seal(opened.batch_id, opened.token, opened.letters):
                    self._begin(opened.batch_id, result, patience)

    def _seal(self, batch_id: UUID, token: int, letters: Sequence[Letter]) -> bool:
        """Store the bytes of the request; True when it may go out."""
        mails, unfit = self._sorted_out(letters)
        body = request_body(mails) if mails else b""
        verdict = self.line.seal(batch_id, token=token, body=body, unfit=unfit)
        return verdict in (Verdict.OK, Verdict.ALREADY)

    def _sorted_out(self, letters: Sequence[Letter]) -> tuple[list[Mail], dict[UUID, str]]:
        """The mails, and the letters that make none with the reason: one bad letter does not hold up the rest."""
        mails: list[Mail] = []
        unfit: dict[UUID, str] = {}
        for letter in letters:
            try:
                mails.append(render(letter, self.sender))
            except MailError as error:
                unfit[letter.delivery_id] = str(error)
        return mails, unfit

    def _begin(self, batch_id: UUID, result: Round, patience: float) -> None:
        asked_at = self.clock.monotonic()
        begun = self.line.begin(
            batch_id, holder=self.holder, lease_seconds=LEASE_SECONDS, max_wait_seconds=patience
        )
        match begun.verdict:
            case Verdict.GO:
                self.clock.learn(asked_at=asked_at, answered_at=self.clock.monotonic(), now=begun.now)
                self._go(batch_id, begun, result, patience)
            case Verdict.RESEAL if begun.letters and self._seal(batch_id, begun.token, begun.letters):
                self._begin(batch_id, result, patience)
            case Verdict.PAUSED:
                result.stopped_by = f"paused: {begun.reason}"
            case Verdict.LATER:
                result.stopped_by = "later"

    def _go(self, batch_id: UUID, begun: Begun, result: Round, patience: float) -> None:
        """Send in our slot. One that was missed is given up for another, as long as there is hope to meet that."""
        result.missed += 1
        try:
            self._post(batch_id, begun, result, self._wait if result.missed <= MOST_MISSED else _at_once)
        except SlotMissedError:
            self._begin(batch_id, result, patience)

    def _wait(self, slot: float) -> None:
        self.clock.wait_for(slot)

    def _post(self, batch_id: UUID, begun: Begun, result: Round, wait: Callable[[float], None]) -> None:
        time.sleep(max(0.0, self.clock.until(begun.slot) - CONNECT_SECONDS))
        faults.point("before post")
        answer = self.mailer.send(
            key=begun.key, body=begun.body, count=begun.count, on_line=lambda: wait(begun.slot)
        )
        faults.point("after post")
        result.missed = 0
        self.line.settle(batch_id, token=begun.token, answer=answer)
        result.requests += 1
        result.mails += begun.count
        if answer.outcome is Outcome.ACCEPTED:
            result.accepted += begun.count
        elif answer.error:
            result.errors.append(answer.error)


def _at_once(slot: float) -> None:
    """For a machine that cannot be on time: the provider says when it is too much, and nothing is lost."""
