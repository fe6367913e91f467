"""Actions on deliveries, subscribers, the mail line and the switches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

from fixionmail.errors import FixionMailError, InputError
from fixionmail.mail.resend import Resend
from fixionmail.models.deliveries import DeliveryChange, DeliveryRecord
from fixionmail.ops.actions.action import Action, Change, Order, Seen, as_named
from fixionmail.ops.actions.hands import Hands
from fixionmail.ops.deliveries import look_up, may_have_gone_out
from fixionmail.subscribers import service

_GONE = Seen(state="", words="there is no such delivery")
_MAYBE = " perhaps out"
_DONE = ("ok", "already")


def _look(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    return {target: _seen(hands.store.deliveries.show(_id(target))) for target in targets}


def _id(target: str) -> UUID:
    try:
        return UUID(target)
    except ValueError:
        raise InputError(f"{target!r} is not the id of a delivery.") from None


def _seen(record: DeliveryRecord | None) -> Seen:
    if record is None:
        return _GONE
    row = record.delivery
    state = row.state + (_MAYBE if may_have_gone_out(record) else "")
    return Seen(state=state, words=f"{row.delivery_id}: {row.state}, {row.address}, {row.local_date}")


def _maybe_out(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    out = sum(each.state.endswith(_MAYBE) for each in seen.values())
    return (f"{out} of these may have gone out already.",) if out else ()


def _each(change: Callable[[Hands, UUID, str, Order], DeliveryChange]) -> Change:
    """A change of many deliveries by a change of one."""

    def changed(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
        words = {}
        for target, state in chunk.items():
            if not state:
                words[target] = "gone"
                continue
            made = change(hands, UUID(target), state.removesuffix(_MAYBE), order)
            words[target] = made.verdict if made.verdict in _DONE else f"{made.verdict}: {made.reason}"
        return words

    return changed


def _retry(hands: Hands, delivery: UUID, state: str, order: Order) -> DeliveryChange:
    return hands.store.deliveries.retry(
        delivery, seen_state=state, by=order.operator.name, host=order.operator.host, reason=order.reason
    )


def _cancel(hands: Hands, delivery: UUID, state: str, order: Order) -> DeliveryChange:
    return hands.store.deliveries.cancel(
        delivery, seen_state=state, by=order.operator.name, host=order.operator.host, reason=order.reason
    )


def _resolve(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    """Ask the provider what became of uncertain deliveries, and record those it sent; the others stay open."""
    records = [record for target in chunk if (record := hands.store.deliveries.show(UUID(target)))]
    uncertain = [record for record in records if record.delivery.state == "uncertain"]
    with _provider(hands) as mails:
        lookup = look_up(mails, uncertain)
    words = dict.fromkeys(chunk, "not uncertain")
    for record in uncertain:
        delivery = record.delivery.delivery_id
        evidence = lookup.found.get(delivery)
        if evidence is None:
            words[str(delivery)] = "not found at the provider: decide with fixionmail deliveries resolve"
            continue
        words[str(delivery)] = hands.store.deliveries.resolve_sent(
            delivery,
            seen_state="uncertain",
            provider_id=evidence.provider_id,
            sent_at=evidence.sent_at,
            evidence=evidence.to_json(),
            by=order.operator.name,
            host=order.operator.host,
            reason=order.reason,
        ).verdict
    return words


def _provider(hands: Hands) -> Resend:
    settings = hands.settings
    if settings.resend_api_key is None:
        raise InputError(
            "RESEND_API_KEY is not set, so Resend cannot be asked: set it, to a key with full access."
        )
    return Resend(
        api_key=settings.resend_api_key.get_secret_value(), url=settings.resend_api_url.get_secret_value()
    )


def _look_at_readers(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    found = {}
    for target in targets:
        reader = service.find(hands.store, target)
        found[str(reader.user_id)] = Seen(state=reader.status, words=f"{reader.email}: {reader.status}")
    return found


def _suppress(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {
        target: hands.store.subscribers.set_status(
            UUID(target),
            status="suppressed",
            seen_status=state,
            reason=order.reason,
            by=order.operator.name,
            host=order.operator.host,
            due=None,
        )
        for target, state in chunk.items()
    }


def _switch(name: str, on: bool, hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    changed = hands.store.leases.set_switch(
        name=name, on=on, by=order.operator.name, host=order.operator.host, reason=order.reason
    )
    return dict.fromkeys(chunk, "done" if changed else "already")


def _the_switch(words: str, hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    return {words: Seen(state="", words=words)}


def _open_line(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {
        line: hands.store.operations.open_line(
            line, by=order.operator.name, host=order.operator.host, reason=order.reason
        )
        for line in chunk
    }


def _migrate(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    from fixionmail.store import database_url, migrations

    with database_url(hands.settings) as url:
        if url is None:
            raise FixionMailError("Over HTTPS no migration can be applied: set DATABASE_URL and try again.")
        applied = migrations.migrate(url)
    return dict.fromkeys(chunk, "done" if applied else "already")


def _switch_action(name: str, label: str, switch: str, on: bool, words: str, command: str) -> Action:
    return Action(
        name=name,
        label=label,
        about="switch",
        look=partial(_the_switch, words),
        change=partial(_switch, switch, on),
        command=command,
        done=("done", "already"),
    )


MAIL_ACTIONS = (
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
        look=_look,
        change=_resolve,
        command="fixionmail deliveries resolve {targets} --from-provider",
        chunk=100,
        done=_DONE,
    ),
    Action(
        name="suppress",
        label="Suppress",
        about="subscriber",
        look=_look_at_readers,
        change=_suppress,
        command="",
        destructive=True,
        done=_DONE,
    ),
    Action(
        name="open-line",
        label="Open the line",
        about="line",
        look=as_named,
        change=_open_line,
        command="fixionmail db open-line {targets}",
        done=_DONE,
    ),
    _switch_action("hold-mail", "Hold all mail", "mail_held", True, "all mail", "fixionmail db hold"),
    _switch_action(
        "release-hold", "Release the mail", "mail_held", False, "all mail", "fixionmail db release"
    ),
    _switch_action(
        "pause-scheduler", "Pause", "scheduler_paused", True, "the scheduler", "fixionmail scheduler pause"
    ),
    _switch_action(
        "resume-scheduler",
        "Resume",
        "scheduler_paused",
        False,
        "the scheduler",
        "fixionmail scheduler resume",
    ),
    Action(
        name="migrate",
        label="Migrate",
        about="database",
        look=partial(_the_switch, "the database"),
        change=_migrate,
        command="fixionmail db migrate",
        done=("done", "already"),
    ),
)
