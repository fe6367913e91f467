"""Short ways to act on a Redis as an operator does: preview, then run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fixionmail.ops import actions
from fixionmail.ops.actions import Hands, Order
from fixionmail.ops.views.findings import Preview
from fixionmail.subscribers.service import Operator

ORDER = Order(operator=Operator(name="ada", host="here"), reason="a test")


def act(hands: Hands, name: str, *targets: str) -> dict[str, str]:
    """Do it; what became of each target."""
    return run(hands, actions.preview(hands, name, targets))


def run(hands: Hands, previewed: Preview) -> dict[str, str]:
    """Do what was previewed; what became of each target."""
    return {target: word for step in actions.run(hands, previewed, ORDER) for target, word in step.details}


def repair(hands: Hands, targets: Sequence[str]) -> dict[str, str]:
    """Repair what was seen long enough ago that no worker can have been about to start it."""
    previewed = actions.preview(hands, "repair-redis", targets)
    return run(hands, replace(previewed, seen=dict.fromkeys(previewed.seen, "0")))
