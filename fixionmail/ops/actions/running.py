"""Previewing an action, and running it in chunks that may be interrupted and gone on with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fixionmail.errors import InputError, RedisUnreachableError
from fixionmail.ops.actions.action import Action, Order
from fixionmail.ops.actions.command_line import NAMED_TARGETS, command_line
from fixionmail.ops.actions.hands import Hands
from fixionmail.ops.actions.registry import action as named
from fixionmail.ops.views.findings import Preview, Progress

SAMPLES = 10
LONGEST_DETAIL = 200
CHUNK_SECONDS = 0.005
"""A chunk of which a command takes longer than this, beyond the way there and back, is followed by a smaller one."""
LARGEST_CHUNK = 250
SMALLEST_CHUNK = 10


def preview(hands: Hands, name: str, targets: Sequence[str] = (), *, detail: str = "") -> Preview:
    """What an action would touch; changes nothing.

    Args:
        hands: the deployment.
        name: of the action.
        targets: what it is to be done to, each once.
        detail: what it needs beside its targets, as far as that is known already.

    Raises:
        InputError: there is no such action, or it does not fit this deployment or what it was given.
        UnreachableError: the deployment cannot be asked.
    """
    wanted = named(name)
    _check(wanted, detail)
    seen = wanted.look(hands, tuple(dict.fromkeys(targets)))
    words = [each.words for each in seen.values()]
    return Preview(
        action=name,
        count=len(seen),
        samples=tuple(words[:SAMPLES]),
        warnings=tuple(wanted.warn(hands, seen)),
        destructive=wanted.destructive,
        command=command_line(wanted, targets, detail),
        seen={target: each.state for target, each in seen.items()},
        done=wanted.done,
        asks=wanted.asks,
        detail=detail,
    )


def _check(wanted: Action, detail: str) -> None:
    """It is an id: one word, of which every character can be seen."""
    if detail and (len(detail) > LONGEST_DETAIL or " " in detail or not detail.isprintable()):
        raise InputError(
            f"That cannot be {wanted.asks}: an id is one word of at most {LONGEST_DETAIL} visible characters."
        )


def run(
    hands: Hands,
    previewed: Preview,
    order: Order,
    *,
    cursor: str = "",
    rate: float | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Progress]:
    """Do what was previewed. It goes on only while somebody asks for more, and puts what was done on record.

    Args:
        hands: the deployment.
        previewed: by :func:`preview`; what has moved on since is left alone.
        order: who and why.
        cursor: of the last progress of an interrupted run.
        rate: targets a second at most.
        pause: waits so many seconds between two chunks, perhaps 0; what it raises ends the run there.

    Raises:
        InputError: changes are refused here.
        UnreachableError: the deployment went away; what was done is on record, and can be gone on with.
    """
    if hands.read_only:
        raise InputError("Nothing is changed here: this was started with --read-only.")
    wanted = named(previewed.action)
    todo = list(previewed.seen.items())
    work = _begun(hands, wanted, _place(cursor, len(todo)), rate)
    try:
        while work.done < len(todo):
            chunk = dict(todo[work.done : work.done + work.size])
            yield work.took(wanted, chunk, hands, order, total=len(todo))
            if work.done < len(todo):
                pause(len(chunk) / rate if rate else 0)
        if not todo:
            yield Progress(done=0, total=0, outcomes={}, finished=True)
    finally:
        _put_on_record(hands, previewed, order, work)


def _put_on_record(hands: Hands, previewed: Preview, order: Order, work: _Work) -> None:
    """What came of it; of a chunk whose answer has not come nobody knows what was done."""
    hands.record(
        operator=order.operator,
        action=previewed.action,
        target=_summary(list(previewed.seen)),
        reason=order.reason,
        result={
            "outcomes": dict(work.outcomes),
            "done": work.done,
            "of": len(previewed.seen),
            "perhaps": list(work.under_way),
        },
    )


def _begun(hands: Hands, wanted: Action, done: int, rate: float | None) -> _Work:
    paced = wanted.chunk > 1 and wanted.about in ("jobs", "redis") and hands.redis_url is not None
    size = min(wanted.chunk, max(1, int(rate))) if rate else wanted.chunk
    return _Work(
        done=done,
        size=size,
        paced=paced,
        away=_distance(hands) if paced else 0.0,
        largest=size if rate else LARGEST_CHUNK,
    )


def _distance(hands: Hands) -> float:
    """Seconds to Redis and back; 0 while it is away, which is for the change to tell of, if it needs it."""
    try:
        seconds: float = hands.call(hands.redis.round_trip)
    except RedisUnreachableError:
        return 0.0
    return seconds


@dataclass
class _Work:
    """A run under way."""

    done: int
    size: int
    paced: bool
    """The size follows from how long Redis is held up."""
    away: float
    """Seconds to the server and back."""
    largest: int
    """Targets at a time at most."""
    outcomes: Counter[str] = field(default_factory=Counter)
    under_way: tuple[str, ...] = ()
    """Targets of a chunk whose answer has not come."""

    def took(
        self, wanted: Action, chunk: Mapping[str, str], hands: Hands, order: Order, *, total: int
    ) -> Progress:
        """Do one chunk, and choose the size of the next."""
        self.under_way = tuple(chunk)
        words = wanted.change(hands, chunk, order)
        self.under_way = ()
        if self.paced:
            self._pace(hands.redis.take_longest() - self.away, len(chunk))
        self.done += len(chunk)
        self.outcomes.update(words.values())
        return Progress(
            done=self.done,
            total=total,
            outcomes=dict(self.outcomes),
            cursor=str(self.done),
            finished=self.done >= total,
            details=tuple(words.items()),
        )

    def _pace(self, seconds: float, targets: int) -> None:
        if seconds > CHUNK_SECONDS:
            self.size = max(SMALLEST_CHUNK, self.size // 2)
        elif seconds < CHUNK_SECONDS / 2 and targets == self.size:
            self.size = min(self.largest, self.size * 5 // 4)


def _place(cursor: str, total: int) -> int:
    if not cursor:
        return 0
    if not cursor.isdecimal() or int(cursor) > total:
        raise InputError(f"{cursor!r} is no place to go on from.")
    return int(cursor)


def _summary(targets: Sequence[str]) -> str:
    shown = " ".join(targets[:NAMED_TARGETS])
    return shown if len(targets) <= NAMED_TARGETS else f"{shown} and {len(targets) - NAMED_TARGETS} more"
