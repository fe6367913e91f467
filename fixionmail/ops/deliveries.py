"""What became of deliveries of which nobody is certain, as the mail provider remembers it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from fixionmail.errors import FixionMailError, SettingsError
from fixionmail.mail.prose import subject_of
from fixionmail.mail.render import DATE_TAG, DELIVERY_TAG
from fixionmail.mail.resend import Resend, SentMail, SentPage
from fixionmail.models.deliveries import DeliveryRecord
from fixionmail.settings import Settings

MAX_PAGES = 200
"""Of a hundred mails each."""
REQUEST_SECONDS = 2.0
"""Between two requests. Reading counts towards the provider's rate, of which sending takes 70 %; at the lowest limit,
two requests a second, this stays within the rest."""
CLOCKS_APART = timedelta(minutes=10)
"""How far the provider's clock and the database's may differ."""
KEY_LIFETIME = timedelta(hours=24)
"""After that nothing was sent under the key any more."""
_ANOTHER_BODY = "the provider has seen this key with another body"
"""As ``settle_conflict_v1`` begins its reason."""


class UnknownDeliveryError(FixionMailError):
    """No delivery has that id."""

    def __init__(self, delivery_id: UUID) -> None:
        super().__init__(f"There is no delivery {delivery_id}.")


class SentMails(Protocol):
    """A provider that can be asked what it sent."""

    def find(self, email_id: str) -> SentMail | None:
        """The mail with this provider id."""
        ...

    def list_mails(self, *, after: str | None = None) -> SentPage:
        """A page of mails, newest first, behind the one with the id ``after``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """That the provider sent a delivery.

    Attributes:
        matched_by: what shows that it is this delivery's mail.
        also: ids of further mails of the same delivery; any of them is a second mail.
    """

    provider_id: str
    sent_at: datetime
    last_event: str
    matched_by: str
    also: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the audit log."""
        return {
            "source": "provider",
            "provider_id": self.provider_id,
            "sent_at": self.sent_at.isoformat(),
            "last_event": self.last_event,
            "matched_by": self.matched_by,
            "also": list(self.also),
        }


@dataclass(kw_only=True)
class Lookup:
    """What a look at the provider's mails came to.

    ``complete`` is False when it ended at the page limit, at ``back_to``, before the earliest moment at which one of
    the deliveries may have gone out.
    """

    found: dict[UUID, Evidence] = field(default_factory=dict)
    searched: int = 0
    complete: bool = True
    back_to: datetime | None = None


@dataclass(kw_only=True)
class _Paced:
    """The provider, asked no faster than it has room for beside the sending."""

    mails: SentMails
    sleep: Callable[[float], None]
    asked: bool = False

    def find(self, email_id: str) -> SentMail | None:
        self._wait()
        return self.mails.find(email_id)

    def list_mails(self, *, after: str | None = None) -> SentPage:
        self._wait()
        return self.mails.list_mails(after=after)

    def _wait(self) -> None:
        if self.asked:
            self.sleep(REQUEST_SECONDS)
        self.asked = True


def look_up(
    mails: SentMails,
    records: Sequence[DeliveryRecord],
    *,
    max_pages: int = MAX_PAGES,
    sleep: Callable[[float], None] = time.sleep,
) -> Lookup:
    """Ask the provider which of these deliveries it sent: by provider id where one is known, else page by page.

    That none is found proves nothing by itself: what follows from it is for the operator to decide.

    Args:
        mails: the provider.
        records: deliveries.
        max_pages: how many pages to read.
        sleep: waits so many seconds.

    Raises:
        MailError: the provider refuses, for instance because the key may only send.
        UnreachableError: it does not answer.
    """
    lookup = Lookup()
    paced = _Paced(mails=mails, sleep=sleep)
    unknown = []
    for record in records:
        evidence = _by_known_id(paced, record)
        if evidence is None:
            unknown.append(record)
        else:
            lookup.found[record.delivery.delivery_id] = evidence
    if unknown:
        _page_back(paced, unknown, lookup, max_pages)
    return lookup


def resend_of(settings: Settings) -> Resend:
    """Resend, to be asked what it sent; to be used in a ``with``.

    Raises:
        SettingsError: there is no key for it.
    """
    if settings.resend_api_key is None:
        raise SettingsError(
            "RESEND_API_KEY is not set, so Resend cannot be asked: set it, to a key with full access."
        )
    return Resend(
        api_key=settings.resend_api_key.get_secret_value(), url=settings.resend_api_url.get_secret_value()
    )


def _by_known_id(mails: SentMails, record: DeliveryRecord) -> Evidence | None:
    ids = [record.delivery.provider_id, *(batch.provider_id for batch in record.batches)]
    for provider_id in dict.fromkeys(filter(None, ids)):
        mail = mails.find(provider_id)
        own = str(record.delivery.delivery_id)
        if mail is not None and mail.tags.get(DELIVERY_TAG, own) == own:
            return _evidence(mail, "its provider id")
    return None


def _page_back(mails: SentMails, records: Sequence[DeliveryRecord], lookup: Lookup, max_pages: int) -> None:
    """Read from the newest mail back to the moment before the first of the deliveries was begun."""
    since = min(_begun_at(record) for record in records) - CLOCKS_APART
    for page in _pages(mails, max_pages):
        for mail in page.mails:
            if mail.created_at < since:
                return
            lookup.searched += 1
            lookup.back_to = mail.created_at
            _take(mails, mail, records, lookup)
        if page.next_after is None:
            return
    lookup.complete = False


def _pages(mails: SentMails, max_pages: int) -> Iterator[SentPage]:
    after = None
    for _ in range(max_pages):
        page = mails.list_mails(after=after)
        after = page.next_after
        yield page


def _take(mails: SentMails, mail: SentMail, records: Sequence[DeliveryRecord], lookup: Lookup) -> None:
    """Keep ``mail`` if it is that of one of the deliveries; the earliest is the evidence, others go beside it."""
    for record in records:
        matched_by = _match(mails, mail, record)
        if matched_by:
            later = lookup.found.get(record.delivery.delivery_id)
            also = (later.provider_id, *later.also) if later else ()
            lookup.found[record.delivery.delivery_id] = _evidence(mail, matched_by, also)
            return


def _match(mails: SentMails, mail: SentMail, record: DeliveryRecord) -> str:
    """What shows that ``mail`` is this delivery's; empty when it is not.

    The provider's description does not promise tags in a list, nor for a single mail. Without any, address, subject
    and time must do: a subscriber's stories have titles of their own.
    """
    if went_out_as_another(record.delivery.reason):
        return _match_by_date(mails, mail, record)
    tag = mail.tags.get(DELIVERY_TAG)
    if tag is None and _resembles(mail, record):
        whole = mails.find(mail.id)
        tag = whole.tags.get(DELIVERY_TAG) if whole else None
        if tag is None:
            return "address, subject and time"
    return "the delivery's tag" if tag == str(record.delivery.delivery_id) else ""


def went_out_as_another(reason: str) -> bool:
    """Whether the provider has refused a mail because its key, which follows from subscriber and date, was used before.

    Then a mail did go out, from a database whose last hours were lost to a restore: with another delivery's tag.
    """
    return reason.startswith(_ANOTHER_BODY)


def _match_by_date(mails: SentMails, mail: SentMail, record: DeliveryRecord) -> str:
    if record.delivery.address.lower() not in map(str.lower, mail.to):
        return ""
    tags = mail.tags if DATE_TAG in mail.tags else (mails.find(mail.id) or mail).tags
    return "address and date" if tags.get(DATE_TAG) == record.delivery.local_date.isoformat() else ""


def _resembles(mail: SentMail, record: DeliveryRecord) -> bool:
    begun_at = _begun_at(record)
    subject = subject_of(record.delivery.title)
    return (
        record.delivery.address.lower() in map(str.lower, mail.to)
        and bool(subject)
        and mail.subject == subject
        and begun_at - CLOCKS_APART <= mail.created_at <= begun_at + KEY_LIFETIME + CLOCKS_APART
    )


def _begun_at(record: DeliveryRecord) -> datetime:
    """When its mail may first have gone out."""
    begun = (batch.first_used_at for batch in record.batches if batch.outcome in (None, "uncertain"))
    first = min(filter(None, begun), default=record.delivery.due_at)
    return first - KEY_LIFETIME if went_out_as_another(record.delivery.reason) else first


def _evidence(mail: SentMail, matched_by: str, also: tuple[str, ...] = ()) -> Evidence:
    return Evidence(
        provider_id=mail.id,
        sent_at=mail.created_at,
        last_event=mail.last_event,
        matched_by=matched_by,
        also=also,
    )
