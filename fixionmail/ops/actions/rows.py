"""Actions on rows that stand against a constraint: second deliveries and jobs, subscribers twice, jobs without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fixionmail.models.deliveries import SecondRow
from fixionmail.ops.actions.action import Action, Order, Seen
from fixionmail.ops.actions.hands import Hands

_CONSTRAINT = "not in force"
_NOT_MAILED = ("delivery pending ", "delivery missed ", "delivery cancelled ")
_DONE = ("ok", "already")


def _look_at_seconds(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    """All second rows, and then the constraints that are to be put in force; ``targets`` adds nothing to it."""
    found = {
        str(second.row_id): Seen(
            state=_seen(second),
            words=f"{second.what} {second.row_id}: {second.state}, {second.why} with {second.keeps}, which is kept",
        )
        for second in hands.store.repairs.second_rows()
    }
    for name in hands.store.repairs.broken_constraints():
        found[name] = Seen(state=_CONSTRAINT, words=f"{name} is put in force")
    return found


def _seen(second: SecondRow) -> str:
    return f"{second.what} {second.state} beside {second.keeps}"


def _set_aside(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    now = {str(second.row_id): second for second in hands.store.repairs.second_rows()}
    words = {}
    for target, state in chunk.items():
        if state == _CONSTRAINT:
            words[target] = hands.store.repairs.restore_constraint(target, **order.signature)
        elif (second := now.get(target)) is None:
            words[target] = "gone"
        elif _seen(second) != state:
            words[target] = "changed"
        else:
            words[target] = hands.store.repairs.set_aside(second, **order.signature)
    return words


def _look_at_strays(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    return {
        str(stray.row_id): Seen(state=stray.what, words=f"{stray.what} {stray.row_id}: {stray.words}")
        for stray in hands.store.repairs.stray_rows()
    }


def _mend(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    now = {str(stray.row_id): stray for stray in hands.store.repairs.stray_rows()}
    return {
        target: hands.store.repairs.mend_stray(now[target], **order.signature)
        if target in now and now[target].what == state
        else "gone"
        for target, state in chunk.items()
    }


def _second_mail(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    out = sum(
        each.state.startswith("delivery ") and not each.state.startswith(_NOT_MAILED)
        for each in seen.values()
    )
    return (
        (f"{out} of these were mailed: the row goes into the audit log, the mail cannot be taken back.",)
        if out
        else ()
    )


ROW_ACTIONS = (
    Action(
        name="repair-duplicates",
        label="Keep the first",
        about="database",
        look=_look_at_seconds,
        change=_set_aside,
        warn=_second_mail,
        command="fixionmail db repair",
        destructive=True,
        chunk=100,
        done=_DONE,
    ),
    Action(
        name="repair-users",
        label="Repair",
        about="database",
        look=_look_at_strays,
        change=_mend,
        command="fixionmail db repair --subscribers",
        destructive=True,
        chunk=100,
        done=_DONE,
    ),
)
