"""What can be done with subscribers. The dates of their next story are computed here, the rest is the database's."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from uuid_utils.compat import uuid7

from fixionmail.errors import FixionMailError, InputError
from fixionmail.mail.addresses import check_address
from fixionmail.models.subscribers import NewSubscriber, Subscriber
from fixionmail.schedule import Due, first_due
from fixionmail.store import Store
from fixionmail.subscribers.sign_up import SignUp

PAGE = 500
_TOKEN_BYTES = 24


class UnknownSubscriberError(FixionMailError):
    """No subscriber has that address or id."""

    def __init__(self, who: str) -> None:
        super().__init__(f"There is no subscriber {who!r}.")


class SubscriberStateError(FixionMailError):
    """The subscriber's state does not allow what is asked; the message says what would."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Who asks, for the audit log."""

    name: str
    host: str

    @classmethod
    def of_this_process(cls) -> Operator:
        """The user this process runs as, on this machine."""
        try:
            name = getpass.getuser()
        except (
            OSError,
            KeyError,
        ):  # a user without a name, as in some containers; KeyError before Python 3.13
            name = f"uid {os.getuid()}"
        return cls(name=name, host=socket.gethostname())


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A subscriber after a change. ``already``: there was nothing to change."""

    subscriber: Subscriber
    already: bool = False


def add(store: Store, sign_ups: Sequence[SignUp], now: datetime) -> list[str]:
    """Add those who are not known; for each, in order: ``added``, ``restored`` (was removed) or ``known``.

    The known ones are left as they are. One call of the database, and two more for each restored one.
    """
    answers = store.subscribers.add([_new(sign_up, now) for sign_up in sign_ups])
    for sign_up, answer in zip(sign_ups, answers, strict=True):
        if answer == "restored":
            _keep_distance(store, sign_up.email, now)
    return answers


def find(store: Store, who: str, *, deliveries: int = 0) -> Subscriber:
    """The subscriber with this address or id, with at most so many of the last deliveries.

    Raises:
        UnknownSubscriberError: there is none.
    """
    found = store.subscribers.find(_key(who), deliveries=deliveries)
    if found is None:
        raise UnknownSubscriberError(who)
    return found


def listed(store: Store, *, status: str | None, search: str | None) -> Iterator[Subscriber]:
    """Subscribers in the order of their addresses, fetched as they are asked for; removed ones only by status.

    Args:
        status: only these.
        search: only addresses that contain this, in any case.
    """
    after = None
    while page := store.subscribers.list(status=status, search=search, after=after, limit=PAGE):
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].email


def pause(store: Store, who: str, *, reason: str | None, operator: Operator) -> Changed:
    """Stop somebody's mail until they are resumed. What has not left yet is withdrawn.

    Raises:
        UnknownSubscriberError: there is none.
        SubscriberStateError: they get no mail anyway, for another reason.
    """
    subscriber = find(store, who)
    if subscriber.status not in ("active", "paused"):
        raise SubscriberStateError(f"{subscriber.email} is {subscriber.status}: there is no mail to pause.")
    return _set_status(store, subscriber, "paused", reason, operator)


def resume(
    store: Store,
    who: str,
    *,
    reason: str | None,
    operator: Operator,
    now: datetime,
    at_their_wish: bool = False,
) -> Changed:
    """Send somebody stories again, from their next delivery time on.

    Args:
        at_their_wish: they asked for it; needed for those who unsubscribed or whose address was suppressed.

    Raises:
        UnknownSubscriberError: there is none.
        SubscriberStateError: they are removed, or it is not known to be their wish.
    """
    subscriber = find(store, who)
    if subscriber.status == "removed":
        raise SubscriberStateError(
            f"{subscriber.email} is removed: sign them up again with fixionmail subscribers add."
        )
    if subscriber.status in ("unsubscribed", "suppressed") and not at_their_wish:
        raise SubscriberStateError(
            f"{subscriber.email} is {subscriber.status}: resume them only at their own wish, with --yes."
        )
    return _set_status(store, subscriber, "active", reason, operator, _next_due(subscriber, now))


def remove(store: Store, who: str, *, reason: str | None, operator: Operator) -> Changed:
    """Stop somebody's mail for good. Their history stays, so that nothing is sent twice should they come back.

    Raises:
        UnknownSubscriberError: there is none.
    """
    return _set_status(store, find(store, who), "removed", reason, operator)


def change(
    store: Store,
    who: str,
    *,
    timezone: str | None,
    delivery_time: str | None,
    story_bible: Mapping[str, str],
    now: datetime,
) -> Changed:
    """Change what somebody asked for, with checked values; None and absent keys stay as they are.

    Raises:
        UnknownSubscriberError: there is none.
        InputError: nothing is to change.
    """
    if timezone is None and delivery_time is None and not story_bible:
        raise InputError(
            "Say what to change: --timezone, --delivery-time, --genre, --setting, --character, --intensity, --length "
            "or --language."
        )
    subscriber = find(store, who)
    moved = timezone is not None or delivery_time is not None
    verdict = store.subscribers.change(
        subscriber.user_id,
        timezone=timezone,
        delivery_time=delivery_time,
        story_bible=story_bible,
        due=_next_due(subscriber, now, timezone, delivery_time) if moved else None,
    )
    if verdict == "gone":
        raise UnknownSubscriberError(who)
    return Changed(subscriber=find(store, str(subscriber.user_id)))


def _new(sign_up: SignUp, now: datetime) -> NewSubscriber:
    return NewSubscriber(
        user_id=uuid7(),
        email=sign_up.email,
        timezone=sign_up.timezone,
        delivery_time=sign_up.delivery_time,
        story_bible=sign_up.story_bible,
        unsubscribe_token=secrets.token_urlsafe(_TOKEN_BYTES),
        due=first_due(timezone=sign_up.timezone, delivery_time=sign_up.delivery_time, now=now),
    )


def _keep_distance(store: Store, email: str, now: datetime) -> None:
    """Put the next story of somebody who came back at its distance from the last one they had."""
    subscriber = find(store, email)
    store.subscribers.change(
        subscriber.user_id,
        timezone=None,
        delivery_time=None,
        story_bible=None,
        due=_next_due(subscriber, now),
    )


def _next_due(
    subscriber: Subscriber, now: datetime, timezone: str | None = None, delivery_time: str | None = None
) -> Due:
    return first_due(
        timezone=timezone or subscriber.timezone,
        delivery_time=delivery_time or subscriber.delivery_time,
        now=now,
        last_local_date=subscriber.last_local_date,
        last_due_at=subscriber.last_due_at,
    )


def _set_status(
    store: Store,
    subscriber: Subscriber,
    status: str,
    reason: str | None,
    operator: Operator,
    due: Due | None = None,
) -> Changed:
    verdict = store.subscribers.set_status(
        subscriber.user_id,
        seen_status=subscriber.status,
        status=status,
        reason=reason,
        by=operator.name,
        host=operator.host,
        due=due,
    )
    if verdict == "gone":
        raise UnknownSubscriberError(subscriber.email)
    if verdict == "changed":
        now = find(store, str(subscriber.user_id)).status
        raise SubscriberStateError(
            f"{subscriber.email} was {subscriber.status} and has become {now} meanwhile; nothing was changed."
        )
    return Changed(subscriber=find(store, str(subscriber.user_id)), already=verdict == "already")


def _key(who: str) -> str:
    """Addresses in the form in which they are stored; an id as it is."""
    try:
        return check_address(who)
    except InputError:
        return who.strip()
