"""After a restore: reads back from the provider what was sent since, so that nothing is sent a second time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from fixionmail.mail.render import DATE_TAG, DELIVERY_TAG
from fixionmail.mail.resend import SentMail
from fixionmail.ops.deliveries import SentMails
from fixionmail.store import Store

REQUEST_SECONDS = 0.6
"""Between two requests; while mail is held, nothing else asks the provider."""
_EVENTS = {"queued": "email.sent", "scheduled": "email.sent"}


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """What came of it, in mails.

    Attributes:
        read: that the provider has sent since.
        taken_in: that the database did not know of.
        known: that it knew.
        strangers: to addresses that no subscriber has.
        unmarked: without our tags: other mail of the same account.
    """

    read: int
    taken_in: int
    known: int
    strangers: int
    unmarked: int


def reconcile(
    store: Store,
    mails: SentMails,
    *,
    since: datetime,
    by: str,
    host: str,
    sleep: Callable[[float], None] = time.sleep,
) -> Reconciled:
    """Take in every mail that the provider has sent since that instant. Safe to run again.

    Args:
        store: the restored database, with mail held.
        mails: the provider.
        since: earlier than the last thing that the database remembers.
        by: who asks, for the audit log.
        host: where.
        sleep: waits so many seconds.

    Raises:
        MailError: the provider refuses, for instance because the key may only send.
        UnreachableError: it does not answer.
    """
    counts: Counter[str] = Counter()
    for mail in _sent_since(mails, since, sleep):
        counts["read"] += 1
        whole = mail if DELIVERY_TAG in mail.tags else _whole(mails, mail, sleep)
        counts[_take_in(store, whole, by, host)] += 1
    return Reconciled(
        read=counts["read"],
        taken_in=counts["ok"],
        known=counts["already"],
        strangers=counts["unknown"],
        unmarked=counts["unmarked"],
    )


def _sent_since(mails: SentMails, since: datetime, sleep: Callable[[float], None]) -> Iterator[SentMail]:
    """Newest first."""
    page = mails.list_mails()
    while True:
        for mail in page.mails:
            if mail.created_at < since:
                return
            yield mail
        if page.next_after is None:
            return
        sleep(REQUEST_SECONDS)
        page = mails.list_mails(after=page.next_after)


def _whole(mails: SentMails, mail: SentMail, sleep: Callable[[float], None]) -> SentMail:
    """The mail by itself: a list may leave out the tags."""
    sleep(REQUEST_SECONDS)
    return mails.find(mail.id) or mail


def _take_in(store: Store, mail: SentMail, by: str, host: str) -> str:
    try:
        delivery_id, local_date = UUID(mail.tags[DELIVERY_TAG]), date.fromisoformat(mail.tags[DATE_TAG])
    except (KeyError, ValueError):
        return "unmarked"
    return store.incoming.reconcile_mail(
        provider_id=mail.id,
        delivery_id=delivery_id,
        event=_EVENTS.get(mail.last_event, f"email.{mail.last_event}"),
        address=mail.to[0] if mail.to else "",
        local_date=local_date,
        sent_at=mail.created_at,
        by=by,
        host=host,
    )
