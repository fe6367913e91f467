"""One delivery in words: what it is, what happened to it and when, and why nobody is certain if nobody is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from fixionmail.models.deliveries import Delivery, DeliveryRecord, Membership
from fixionmail.ops.deliveries import KEY_LIFETIME, UnknownDeliveryError
from fixionmail.ops.views.deliveries import DeliveryDetail
from fixionmail.ops.views.jobs import TimelineEvent
from fixionmail.store import Store

_ADVICE = {
    "uncertain": "Ask the provider what became of it; what it does not know, you decide.",
    "rejected": "It was not sent. When the reason is mended, it may be retried.",
    "failed": "The provider could not deliver it; it may be retried.",
    "missed": "It was not sent; it may be retried, and is late then.",
    "cancelled": "It was kept back; it may be retried.",
    "pending": "It goes out when it is due; until then it may be cancelled.",
}


def ask(store: Store, delivery_id: UUID) -> DeliveryDetail:
    """Look at one delivery, by one call.

    Raises:
        UnknownDeliveryError: there is none with that id.
    """
    record = store.deliveries.show(delivery_id)
    if record is None:
        raise UnknownDeliveryError(delivery_id)
    return detail(record)


def detail(record: DeliveryRecord) -> DeliveryDetail:
    """A delivery's record as people see it."""
    row = record.delivery
    return DeliveryDetail(
        delivery_id=str(row.delivery_id),
        state=row.state,
        subscriber=row.address,
        facts=dict(_facts(record)),
        timeline=timeline(record),
        evidence=tuple(map(_evidence, _open_ends(record))) if row.state == "uncertain" else (),
        advice=_ADVICE.get(row.state, ""),
    )


def _facts(record: DeliveryRecord) -> Iterator[tuple[str, str]]:
    row = record.delivery
    yield "delivery", str(row.delivery_id)
    yield "state", f"{row.state} ({row.reason})" if row.reason else row.state
    yield "address", row.address
    yield "subscriber", str(row.user_id)
    yield "story", row.title or "never written"
    yield "local date", str(row.local_date)
    yield "due", f"{_minute(row.due_at)}, may be sent until {_minute(row.send_until)}"
    yield "generation", f"{row.generation} (of its key)"
    if row.provider_id or row.sent_at:
        yield "sent", _sent(row)
    error = f": {record.job_error}" if record.job_error else ""
    yield "job", f"{record.job_id} is {record.job_state} after {_attempts(record.job_attempt)}{error}"


def _sent(row: Delivery) -> str:
    at = _minute(row.sent_at) if row.sent_at else "at an unknown time"
    return f"{at} as {row.provider_id or 'an unknown id'}"


def timeline(record: DeliveryRecord) -> tuple[TimelineEvent, ...]:
    """What happened to a delivery, oldest first; what has no instant of its own stands behind what it followed."""
    events = [*_story(record)]
    for batch in record.batches:
        events += _request(batch)
    events += [
        TimelineEvent(at=e.happened_at, what=f"the provider reported {e.kind} of {e.provider_id}")
        for e in record.events
    ]
    events += [
        TimelineEvent(at=row.at, what=f"{row.actor}: {row.action}{f', {row.reason}' if row.reason else ''}")
        for row in record.audit
    ]
    places: list[datetime] = []
    for event in events:
        places.append(event.at or places[-1])
    in_order = sorted(zip(places, events, strict=True), key=lambda pair: pair[0])
    return tuple(event for _, event in in_order)


def _story(record: DeliveryRecord) -> Iterator[TimelineEvent]:
    yield TimelineEvent(at=record.planned_at, what=f"planned, due {_minute(record.delivery.due_at)}")
    if record.begun_at:
        yield TimelineEvent(at=record.begun_at, what=f"writing begun, attempt {record.job_attempt}")
    if record.written_at:
        yield TimelineEvent(at=record.written_at, what=f"written: {record.delivery.title}")


def _request(batch: Membership) -> Iterator[TimelineEvent]:
    mails = "1 mail" if batch.count == 1 else f"{batch.count} mails"
    yield TimelineEvent(at=batch.created_at, what=f"taken into a mail request of {mails}")
    if batch.key:
        yield TimelineEvent(at=None, what=f"sealed under the key {batch.key}")
    if batch.first_used_at:
        yield TimelineEvent(at=batch.first_used_at, what="sent to the provider for the first time")
    if batch.attempts:
        yield TimelineEvent(at=batch.settled_at, what=_answer(batch))


def _answer(batch: Membership) -> str:
    said = " ".join(filter(None, (str(batch.last_status or ""), batch.last_error)))
    known_as = f" as {batch.provider_id}" if batch.provider_id else ""
    return f"{_attempts(batch.attempts)}, answer: {said or 'none'}; {batch.outcome or 'still open'}{known_as}"


def _open_ends(record: DeliveryRecord) -> list[Membership]:
    return [batch for batch in record.batches if batch.outcome == "uncertain"]


def _evidence(batch: Membership) -> str:
    used = batch.first_used_at
    when = (
        f"first used {_minute(used)}, known to the provider until {_minute(used + KEY_LIFETIME)}"
        if used
        else ""
    )
    return f"key {batch.key}: {when or 'never used'}; {_answer(batch)}"


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"
