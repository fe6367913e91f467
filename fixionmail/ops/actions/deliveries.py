"""Actions on deliveries: each is changed as it was seen, or left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from fixionmail.errors import InputError
from fixionmail.models.deliveries import DeliveryChange, DeliveryRecord, DeliverySeen
from fixionmail.ops.actions.action import Action, Change, Order, Seen, parts
from fixionmail.ops.actions.hands import Hands
from fixionmail.ops.deliveries import Evidence, Lookup, look_up, resend_of, went_out_as_another

_MAYBE = " perhaps out"
_DONE = ("ok", "already")
_SAID = {"source": "operator"}


def _look(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    ids = [_id(target) for target in targets]
    found: dict[UUID, DeliverySeen] = {}
    for part in parts(ids):
        found |= hands.store.deliveries.look(part)
    return {str(delivery): _seen(delivery, found.get(delivery)) for delivery in ids}


def _look_with_key(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    """Nobody is asked for a yes where the provider cannot be asked."""
    with resend_of(hands.settings):
        return _look(hands, targets)


def _look_at_one(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    """What is said of one mail is not said of another."""
    if len(targets) > 1:
        raise InputError("The provider's id is that of one mail: record one delivery at a time.")
    return _look(hands, targets)


def _id(target: str) -> UUID:
    try:
        return UUID(target)
    except ValueError:
        raise InputError(f"{target!r} is not the id of a delivery.") from None


def _seen(delivery: UUID, found: DeliverySeen | None) -> Seen:
    if found is None:
        return Seen(state="", words=f"{delivery}: there is no such delivery")
    row = found.delivery
    words = f"{delivery}: {row.state}, {row.address}, {row.local_date}, {row.title or 'never written'}"
    return Seen(state=row.state + (_MAYBE if found.maybe_out else ""), words=words)


def _maybe_out(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    out = sum(each.state.endswith(_MAYBE) for each in seen.values())
    return (f"{out:,} of these may have gone out already.",) if out else ()


def _second_mail(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    return ("Whatever did go out after all reaches its subscriber a second time once it is retried.",)


def _each(change: Callable[[Hands, UUID, str, Order], DeliveryChange]) -> Change:
    """A change of many deliveries by a change of one."""

    def changed(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
        return {
            target: _words(change(hands, UUID(target), state.removesuffix(_MAYBE), order))
            if state
            else "gone"
            for target, state in chunk.items()
        }

    return changed


def _words(made: DeliveryChange) -> str:
    match made.verdict:
        case "changed":
            return f"moved on: it has become {made.state}"
        case "refused":
            return f"refused: {made.reason}"
        case _:
            return str(made.verdict)


def _retry(hands: Hands, delivery: UUID, state: str, order: Order) -> DeliveryChange:
    return hands.store.deliveries.retry(delivery, seen_state=state, **order.signature)


def _cancel(hands: Hands, delivery: UUID, state: str, order: Order) -> DeliveryChange:
    return hands.store.deliveries.cancel(delivery, seen_state=state, **order.signature)


def _sent(hands: Hands, delivery: UUID, state: str, order: Order) -> DeliveryChange:
    return hands.store.deliveries.resolve_sent(
        delivery,
        seen_state=state,
        provider_id=order.detail,
        sent_at=None,
        evidence=_SAID,
        **order.signature,
    )


def _not_sent(hands: Hands, delivery: UUID, state: str, order: Order) -> DeliveryChange:
    return hands.store.deliveries.resolve_not_sent(
        delivery,
        seen_state=state,
        evidence=_SAID,
        **order.signature,
    )


# ---- asking the provider ---------------------------------------------------------------------------------------------


def _ask_provider(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    """Record those that the provider sent; of the others it is for the operator to decide."""
    words = {target: _not_to_be_asked(state) for target, state in chunk.items()}
    records: dict[str, DeliveryRecord] = {}
    for target in (target for target, word in words.items() if not word):
        record = hands.store.deliveries.show(UUID(target))
        if record is None or record.delivery.state != "uncertain":
            words[target] = "moved on"
        else:
            records[target] = record
    with resend_of(hands.settings) as mails:
        lookup = look_up(mails, list(records.values()))
    for target, record in records.items():
        evidence = lookup.found.get(UUID(target))
        words[target] = (
            _recorded(hands, UUID(target), evidence, order) if evidence else _left_open(lookup, record)
        )
    return words


def _not_to_be_asked(state: str) -> str:
    """Why the provider is not asked about a delivery; empty when it is."""
    seen = state.removesuffix(_MAYBE)
    if seen == "uncertain":
        return ""
    return f"refused: it is {seen}: only what is uncertain can be resolved" if seen else "gone"


def _recorded(hands: Hands, delivery: UUID, evidence: Evidence, order: Order) -> str:
    made = hands.store.deliveries.resolve_sent(
        delivery,
        seen_state="uncertain",
        provider_id=evidence.provider_id,
        sent_at=evidence.sent_at,
        evidence=evidence.to_json(),
        **order.signature,
    )
    if made.verdict == "ok" and evidence.also:
        return f"recorded as sent, and it went out {len(evidence.also) + 1} times"
    return _words(made)


def _left_open(lookup: Lookup, record: DeliveryRecord) -> str:
    if lookup.complete and went_out_as_another(record.delivery.reason):
        return (
            f"refused: a mail went out under its key, and is none of the {lookup.searched:,} mails that Resend shows. "
            "Look on Resend's pages, then record it as sent (--sent)"
        )
    if lookup.complete:
        return (
            f"refused: none of the {lookup.searched:,} mails that Resend shows from then on is its; most likely it was "
            "not sent. When you are sure, record that (--not-sent)"
        )
    back_to = f"{lookup.back_to:%Y-%m-%d %H:%M}" if lookup.back_to else "an unknown time"
    return (
        f"refused: it is not among the newest {lookup.searched:,} mails, back to {back_to} UTC. Look on Resend's "
        "pages, then record it as sent or not sent (--sent, --not-sent)"
    )


DELIVERY_ACTIONS = (
    Action(
        name="retry-delivery",
        label="Retry",
        about="delivery",
        look=_look,
        change=_each(_retry),
        warn=_maybe_out,
        command="fixionmail deliveries retry {targets}",
        done=_DONE,
    ),
    Action(
        name="cancel-delivery",
        label="Cancel",
        about="delivery",
        look=_look,
        change=_each(_cancel),
        warn=_maybe_out,
        command="fixionmail deliveries cancel {targets}",
        destructive=True,
        done=_DONE,
    ),
    Action(
        name="resolve-delivery",
        label="Ask the provider",
        about="delivery",
        look=_look_with_key,
        change=_ask_provider,
        command="fixionmail deliveries resolve {targets} --from-provider",
        chunk=1000,
        done=_DONE,
    ),
    Action(
        name="resolve-sent",
        label="Record as sent",
        about="delivery",
        look=_look_at_one,
        change=_each(_sent),
        command="fixionmail deliveries resolve {targets} --sent={detail} --reason='<why>'",
        done=_DONE,
        asks="the provider's id of the mail",
    ),
    Action(
        name="resolve-not-sent",
        label="Record as not sent",
        about="delivery",
        look=_look,
        change=_each(_not_sent),
        warn=_second_mail,
        command="fixionmail deliveries resolve {targets} --not-sent --reason='<why>'",
        destructive=True,
        done=_DONE,
    ),
)
