"""Actions on the processes of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fixionmail.ops.actions.action import Action, Order, Seen, as_named
from fixionmail.ops.actions.hands import Hands


def _start_redis(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    from fixionmail.processes.redis_service import start_local_redis

    return dict.fromkeys(chunk, f"done: {start_local_redis(hands.settings)}")


def _local_redis(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    return {"redis": Seen(state="", words="a Redis on this machine")}


def _all_that_is_needed(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    """Redis where none is named, and each program; the bundled Postgres is started beneath them."""
    settings = hands.settings
    names = ["scheduler", "delivery"]
    if settings.enable_redis_queue is not False:
        names = [*(["redis"] if settings.redis_url is None else []), "worker", *names]
    return as_named(hands, names)


def _start(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {target: _names(hands.fleet.start(target)) for target in chunk}


def _stop(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {target: _names(hands.fleet.stop(target)) for target in chunk}


def _restart(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {target: _names(hands.fleet.restart(target)) for target in chunk}


def _names(names: Sequence[str]) -> str:
    return "asked" if names else "nothing to do"


MACHINE_ACTIONS = (
    Action(
        name="start-redis",
        label="Start a local Redis",
        about="redis",
        look=_local_redis,
        change=_start_redis,
        command="fixionmail redis up",
    ),
    Action(
        name="start-process",
        label="Start",
        about="process",
        look=as_named,
        change=_start,
        command="fixionmail processes start {targets}",
        done=("asked",),
    ),
    Action(
        name="start-everything",
        label="Start everything",
        about="process",
        look=_all_that_is_needed,
        change=_start,
        command="",
        done=("asked",),
    ),
    Action(
        name="restart-process",
        label="Restart",
        about="process",
        look=as_named,
        change=_restart,
        command="fixionmail processes restart {targets}",
        done=("asked",),
    ),
    Action(
        name="stop-process",
        label="Stop",
        about="process",
        look=as_named,
        change=_stop,
        command="fixionmail processes stop {targets}",
        destructive=True,
        done=("asked",),
    ),
)
