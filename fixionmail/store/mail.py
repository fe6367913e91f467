"""The mail line: open, seal, begin and settle a batch.

See ``008_send_once.sql`` and ``029_settle.sql`` for the contract of each.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from fixionmail.errors import DatabaseError
from fixionmail.models.mail import Begun, DeliveryTick, Letter, MailAnswer, Opened, Outlook
from fixionmail.models.verdict import Verdict
from fixionmail.store.transport import Caller, instant

_CODEC = "zlib"
_FASTEST = 1


@dataclass(frozen=True)
class MailLine:
    """The line to one provider. ``start_rate``: requests a second until the provider has named its limit."""

    _call: Caller
    line: str
    start_rate: float

    def tick(self, *, fence: int, max_size: int, limit: int = 1000) -> DeliveryTick:
        """All that the delivery leader with ``fence`` asks for at once: repairs, upkeep, and :meth:`outlook`."""
        row = self._call(
            "delivery_tick_v1",
            fence=fence,
            limit=limit,
            line=self.line,
            start_rate=self.start_rate,
            max_size=max_size,
        )
        return DeliveryTick(repairs=row["repairs"], outlook=_outlook(row["outlook"]))

    def outlook(self, *, max_size: int) -> Outlook:
        """How much mail work is ready, how many requests it takes, and when more becomes due."""
        return _outlook(
            self._call("mail_outlook_v1", line=self.line, start_rate=self.start_rate, max_size=max_size)
        )

    def open(self, *, batch_id: UUID, holder: str, lease_seconds: float, max_size: int) -> Opened:
        """Take the next piece of mail work: DRAFT with its letters, READY, EMPTY or PAUSED."""
        row = self._call(
            "open_batch_v1",
            line=self.line,
            start_rate=self.start_rate,
            batch=batch_id,
            holder=holder,
            lease_s=lease_seconds,
            max_size=max_size,
        )
        return Opened(
            verdict=Verdict(row["verdict"]),
            batch_id=UUID(row["batch"]) if "batch" in row else None,
            token=row.get("token", 0),
            letters=_letters(row.get("members", [])),
            reason=row.get("reason") or "",
        )

    def seal(self, batch_id: UUID, *, token: int, body: bytes, unfit: Mapping[UUID, str]) -> Verdict:
        """Store the exact bytes of the request: OK, ALREADY, STALE, or DISSOLVED when nobody is left.

        ``unfit`` names the deliveries of which no mail could be made, with the reason; they are rejected.
        """
        row = self._call(
            "seal_batch_v1",
            batch=batch_id,
            token=token,
            codec=_CODEC,
            body=base64.b64encode(zlib.compress(body, _FASTEST)).decode("ascii"),
            sha256=hashlib.sha256(body).hexdigest(),
            len=len(body),
            unfit={str(delivery): reason for delivery, reason in unfit.items()},
        )
        return Verdict(row["verdict"])

    def begin(self, batch_id: UUID, *, holder: str, lease_seconds: float, max_wait_seconds: float) -> Begun:
        """Ask for the go before the socket opens. GO carries key, bytes and our slot."""
        row = self._call(
            "begin_batch_v1",
            line=self.line,
            batch=batch_id,
            holder=holder,
            lease_s=lease_seconds,
            max_wait_ms=max_wait_seconds * 1000,
        )
        return Begun(
            verdict=Verdict(row["verdict"]),
            token=row.get("token", 0),
            key=row.get("key") or "",
            count=row.get("n", 0),
            wait_seconds=row.get("wait_ms", 0.0) / 1000
            or max(0.0, row.get("slot", 0.0) - row.get("now", 0.0)),
            now=row.get("now", 0.0),
            slot=row.get("slot", 0.0),
            body=_unpacked(row) if row["verdict"] == "go" else b"",
            letters=_letters(row.get("members", [])),
            reason=row.get("reason") or "",
        )

    def settle(self, batch_id: UUID, *, token: int, answer: MailAnswer) -> Verdict:
        """Record what became of the request: OK, ALREADY or STALE."""
        row = self._call(
            "settle_batch_v1",
            line=self.line,
            batch=batch_id,
            token=token,
            outcome=str(answer.outcome),
            ids=list(answer.ids),
            status=answer.status,
            error=answer.error or None,
            wait_s=answer.wait_seconds,
            rate=answer.rate_limit,
        )
        return Verdict(row["verdict"])


def _outlook(row: dict[str, Any]) -> Outlook:
    return Outlook(
        now=datetime.fromisoformat(row["now"]),
        due=row["due"],
        ready=row["ready"],
        requests=row["requests"],
        next_at=instant(row["next_at"]),
        rate=row["rate"],
        held=row["held"],
        paused_until=instant(row["paused_until"]),
        paused_reason=row["paused_reason"] or "",
    )


def _unpacked(row: dict[str, Any]) -> bytes:
    body = zlib.decompress(base64.b64decode(row["body"]))
    if hashlib.sha256(body).hexdigest() != row["sha256"]:
        raise DatabaseError(f"The stored bytes of mail request {row['key']} are damaged; they were not sent.")
    return body


def _letters(rows: Sequence[dict[str, Any]]) -> tuple[Letter, ...]:
    return tuple(
        Letter(
            delivery_id=UUID(row["delivery_id"]),
            user_id=UUID(row["user_id"]),
            address=row["address"],
            local_date=date.fromisoformat(row["local_date"]),
            title=row["title"],
            body=row["body"],
            unsubscribe_token=row["unsubscribe_token"],
        )
        for row in rows
    )
