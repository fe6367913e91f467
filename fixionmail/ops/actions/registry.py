"""All actions by name."""

from __future__ import annotations

from fixionmail.errors import InputError
from fixionmail.ops.actions.action import Action
from fixionmail.ops.actions.deliveries import DELIVERY_ACTIONS
from fixionmail.ops.actions.jobs import JOB_ACTIONS
from fixionmail.ops.actions.machine import MACHINE_ACTIONS
from fixionmail.ops.actions.mail import MAIL_ACTIONS
from fixionmail.ops.actions.queues import QUEUE_ACTIONS
from fixionmail.ops.actions.rows import ROW_ACTIONS

ACTIONS = {
    each.name: each
    for each in (
        *JOB_ACTIONS,
        *QUEUE_ACTIONS,
        *DELIVERY_ACTIONS,
        *MAIL_ACTIONS,
        *MACHINE_ACTIONS,
        *ROW_ACTIONS,
    )
}


def action(name: str) -> Action:
    """The action of this name.

    Raises:
        InputError: there is none.
    """
    if name not in ACTIONS:
        raise InputError(f"There is no action {name!r}; there are {', '.join(ACTIONS)}.")
    return ACTIONS[name]
