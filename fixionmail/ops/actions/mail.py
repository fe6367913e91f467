"""Actions on subscribers, the mail line, the switches and the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from fixionmail.errors import FixionMailError
from fixionmail.ops.actions.action import Action, Order, Seen, as_named
from fixionmail.ops.actions.hands import Hands
from fixionmail.subscribers import service

_DONE = ("ok", "already")


def _look_at_readers(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    found = {}
    for target in targets:
        reader = service.find(hands.store, target)
        found[str(reader.user_id)] = Seen(state=reader.status, words=f"{reader.email}: {reader.status}")
    return found


def _suppress(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    words = {
        target: hands.store.subscribers.set_status(
            UUID(target),
            status="suppressed",
            seen_status=state,
            due=None,
            **order.signature,
        )
        for target, state in chunk.items()
    }
    return {target: "moved on" if word == "changed" else word for target, word in words.items()}


def _switch(name: str, on: bool, hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    changed = hands.store.leases.set_switch(name=name, on=on, **order.signature)
    return dict.fromkeys(chunk, "done" if changed else "already")


def _the_switch(words: str, hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    return {words: Seen(state="", words=words)}


def _open_line(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {line: hands.store.operations.open_line(line, **order.signature) for line in chunk}


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
        name="suppress",
        label="Suppress",
        about="subscriber",
        look=_look_at_readers,
        change=_suppress,
        command="fixionmail subscribers suppress {targets} --reason='<why>'",
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
