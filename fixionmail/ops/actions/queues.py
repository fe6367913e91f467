"""Actions on queues and workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from fixionmail.jobs.worker import pause_queue, resume_queue
from fixionmail.ops.actions.action import Action, Order, Seen, as_named
from fixionmail.ops.actions.hands import Hands


def _pause(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    for queue in chunk:
        pause = partial(
            pause_queue, hands.redis.connection, queue, by=order.operator.name, reason=order.reason
        )
        hands.call(pause)
    return dict.fromkeys(chunk, "done")


def _before_a_pause(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    prefix, names = hands.redis.prefix, list(seen)
    keys = [f"{prefix}:queue:{name}" for name in names]
    known = hands.call(partial(hands.redis.connection.smismember, f"{prefix}:queues", keys))
    strangers = ", ".join(name for name, is_known in zip(names, known, strict=True) if not is_known)
    unknown = (f"No job was ever put on {strangers}.",) if strangers else ()
    return (*_only_ours(hands, seen), *unknown)


def _only_ours(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    return ("Only workers of FixionMail heed this; RQ's own go on taking jobs.",)


def _resume(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    resumed = {queue: hands.call(partial(resume_queue, hands.redis.connection, queue)) for queue in chunk}
    return {queue: "done" if was else "already" for queue, was in resumed.items()}


def _all_workers(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    return {"all workers": Seen(state="", words="all workers of this Redis")}


def _one_more(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    return ("A worker of RQ's own that waits for work already takes one more job before it rests.",)


def _suspend(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    hands.call(hands.redis.suspend)
    return dict.fromkeys(chunk, "done")


def _wake(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    hands.call(hands.redis.resume)
    return dict.fromkeys(chunk, "done")


def _drain(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {name: hands.call(partial(hands.redis.drain_worker, name)) for name in chunk}


def _stop(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {name: hands.call(partial(hands.redis.stop_worker, name)) for name in chunk}


QUEUE_ACTIONS = (
    Action(
        name="pause-queue",
        label="Pause",
        about="queue",
        look=as_named,
        change=_pause,
        warn=_before_a_pause,
        command="fixionmail queues pause {targets}",
    ),
    Action(
        name="resume-queue",
        label="Resume",
        about="queue",
        look=as_named,
        change=_resume,
        command="fixionmail queues resume {targets}",
        done=("done", "already"),
    ),
    Action(
        name="suspend-workers",
        label="Suspend all workers",
        about="worker",
        look=_all_workers,
        change=_suspend,
        warn=_one_more,
        command="fixionmail workers suspend",
    ),
    Action(
        name="resume-workers",
        label="Resume all workers",
        about="worker",
        look=_all_workers,
        change=_wake,
        command="fixionmail workers resume",
    ),
    Action(
        name="drain-worker",
        label="Drain",
        about="worker",
        look=as_named,
        change=_drain,
        warn=_only_ours,
        command="fixionmail workers drain {targets}",
        done=("asked",),
    ),
    Action(
        name="stop-worker",
        label="Stop",
        about="worker",
        look=as_named,
        change=_stop,
        command="fixionmail workers stop {targets}",
        destructive=True,
        done=("asked",),
    ),
)
