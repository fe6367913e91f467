"""``fixionmail deliveries resolve``: say what became of deliveries of which nobody is certain."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from fixionmail.commands.delivery_changes import (
    ask,
    change_each,
    fetched,
    moment,
    tell,
    warn,
)
from fixionmail.commands.output import AsJson, print_table
from fixionmail.commands.session import Yes, opened_store

if TYPE_CHECKING:
    from fixionmail.mail.resend import Resend
    from fixionmail.models.deliveries import DeliveryChange, DeliveryRecord
    from fixionmail.ops.deliveries import Evidence, Lookup
    from fixionmail.store import Store

UNCERTAIN = "uncertain"

Ids = Annotated[
    list[UUID] | None, typer.Argument(metavar="[ID...]", help="Ids of deliveries.", show_default=False)
]


def resolve(
    ids: Ids = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why, for the audit log; needed with --sent and --not-sent.")
    ] = "",
    from_provider: Annotated[
        bool,
        typer.Option(
            "--from-provider", help="Ask Resend what it sent; of all that are uncertain, if no ID is given."
        ),
    ] = False,
    sent: Annotated[
        str | None, typer.Option(metavar="PROVIDER_ID", help="It was sent: Resend's id of the mail.")
    ] = None,
    not_sent: Annotated[
        bool, typer.Option("--not-sent", help="It was not sent; it may then be retried.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Settle uncertain deliveries: from the provider, or by what you know. Nothing is sent by this."""
    from fixionmail.errors import InputError

    if [from_provider, sent is not None, not_sent].count(True) != 1:
        raise InputError("Say one of --from-provider, --sent PROVIDER_ID and --not-sent.")
    if not from_provider and not (ids and reason):
        raise InputError("Name the deliveries and the --reason: this is your word, and goes on record.")
    if sent is not None and len(ids or ()) > 1:
        raise InputError("--sent names one mail: resolve one delivery at a time.")
    with opened_store() as store:
        known = fetched(store, ids or _all_uncertain(store))
        if from_provider:
            outcomes = _from_provider(
                store, known, reason or "the provider was asked", yes=yes, as_json=as_json
            )
        else:
            outcomes = _by_operator(store, known, sent, reason, yes=yes, as_json=as_json)
    tell(outcomes, as_json=as_json)


def _all_uncertain(store: Store) -> list[UUID]:
    from fixionmail.commands.deliveries import listed

    return [row.delivery_id for row in listed(store, [UNCERTAIN], None, sys.maxsize)[0]]


def _by_operator(
    store: Store,
    known: dict[UUID, DeliveryRecord | None],
    provider_id: str | None,
    reason: str,
    *,
    yes: bool,
    as_json: bool,
) -> dict[UUID, DeliveryChange]:
    from fixionmail.subscribers.service import Operator

    who = Operator.of_this_process()
    if provider_id is None:
        warn("whatever did go out after all reaches its subscriber a second time once it is retried.")
    words = "Record as not sent" if provider_id is None else "Record as sent"
    ask([record for record in known.values() if record], words, yes=yes, as_json=as_json)
    evidence = {"source": "operator"}
    if provider_id is None:
        not_sent = partial(
            store.deliveries.resolve_not_sent, evidence=evidence, by=who.name, host=who.host, reason=reason
        )
        return change_each(known, not_sent)
    sent = partial(
        store.deliveries.resolve_sent,
        provider_id=provider_id,
        sent_at=None,
        evidence=evidence,
        by=who.name,
        host=who.host,
        reason=reason,
    )
    return change_each(known, sent)


def _from_provider(
    store: Store,
    known: dict[UUID, DeliveryRecord | None],
    reason: str,
    *,
    yes: bool,
    as_json: bool,
) -> dict[UUID, DeliveryChange]:
    from fixionmail.ops.deliveries import look_up
    from fixionmail.subscribers.service import Operator

    who = Operator.of_this_process()
    uncertain = [record for record in known.values() if record and record.delivery.state == UNCERTAIN]
    with opened_resend() as resend:
        lookup = look_up(resend, uncertain)
    found = [record for record in uncertain if record.delivery.delivery_id in lookup.found]
    _show_evidence(lookup, as_json=as_json)
    ask(found, "Record as sent", yes=yes, as_json=as_json)

    def change(delivery_id: UUID, *, seen_state: str) -> DeliveryChange:
        evidence = lookup.found.get(delivery_id)
        if evidence is None:
            return _left_open(seen_state, lookup)
        return store.deliveries.resolve_sent(
            delivery_id,
            seen_state=seen_state,
            provider_id=evidence.provider_id,
            sent_at=evidence.sent_at,
            evidence=evidence.to_json(),
            by=who.name,
            host=who.host,
            reason=reason,
        )

    return change_each(known, change)


@contextmanager
def opened_resend() -> Iterator[Resend]:
    """Resend, to be asked what it sent.

    Raises:
        SettingsError: there is no key for it.
    """
    from fixionmail.errors import SettingsError
    from fixionmail.mail.resend import Resend
    from fixionmail.settings import load_settings

    settings = load_settings()
    if settings.resend_api_key is None:
        raise SettingsError(
            "RESEND_API_KEY is not set, so Resend cannot be asked: set it, to a key with full access."
        )
    key, url = settings.resend_api_key.get_secret_value(), settings.resend_api_url.get_secret_value()
    with Resend(api_key=key, url=url) as resend:
        yield resend


def _show_evidence(lookup: Lookup, *, as_json: bool) -> None:
    for delivery_id, evidence in lookup.found.items():
        if evidence.also:
            warn(
                f"Resend shows {len(evidence.also) + 1} mails of delivery {delivery_id}: it went out more than once."
            )
    if lookup.found and not as_json:
        print_table(
            ("delivery", "Resend's id", "sent (UTC)", "state there", "known by"),
            map(_cells, lookup.found.items()),
        )


def _cells(item: tuple[UUID, Evidence]) -> Sequence[str]:
    delivery_id, evidence = item
    sent_at = moment(evidence.sent_at)
    return (str(delivery_id), evidence.provider_id, sent_at, evidence.last_event, evidence.matched_by)


def _left_open(state: str, lookup: Lookup) -> DeliveryChange:
    """The outcome for a delivery that the provider did not show: a person must decide."""
    from fixionmail.models.deliveries import DeliveryChange
    from fixionmail.models.verdict import Verdict

    if state != UNCERTAIN:
        reason = f"it is {state}: only what is uncertain can be resolved"
    elif lookup.complete:
        reason = (
            f"none of the {lookup.searched:,} mails that Resend shows from then on is its; most likely it was not "
            "sent. When you are sure: --not-sent"
        )
    else:
        reason = (
            f"it is not among the newest {lookup.searched:,} mails, back to {moment(lookup.back_to)} UTC. Look on "
            "Resend's pages, then say --sent or --not-sent"
        )
    return DeliveryChange(verdict=Verdict.REFUSED, state=state, reason=reason)
