"""What an action is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar

from fixionmail.ops.actions.hands import Hands
from fixionmail.subscribers.service import Operator

T = TypeVar("T")
LOOK_AT = 500
"""Targets that one command or call is asked about."""


class Signature(TypedDict):
    """What the database puts on record beside a change."""

    by: str
    host: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """Who wants it, and why: what goes on record.

    ``detail``: what an action needs beside its targets, such as the provider's id of a mail.
    """

    operator: Operator
    reason: str
    detail: str = ""

    @property
    def signature(self) -> Signature:
        """For a call that changes something."""
        return Signature(by=self.operator.name, host=self.operator.host, reason=self.reason)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A target as it is now: what its change is compared with, how people read it, and how many jobs wait for it."""

    state: str
    words: str
    dependents: int = 0


Look = Callable[[Hands, Sequence[str]], Mapping[str, Seen]]
"""What the targets are like now; may name others than it was given, such as the jobs of a queue."""
Change = Callable[[Hands, Mapping[str, str], Order], Mapping[str, str]]
"""Change a chunk of targets, given with their states as seen; a word for each."""
Warn = Callable[[Hands, Mapping[str, Seen]], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something an operator can do.

    Attributes:
        name: its stable name.
        label: what a button says.
        about: what its targets are: jobs, queue, worker, delivery, subscriber, switch, line, process, redis, database.
        destructive: what it does cannot be undone.
        command: the same on the command line, with ``{targets}`` and ``{detail}``; empty when there is no such command.
        chunk: targets changed at a time, at first.
        done: the outcomes that count as done.
        asks: what it needs beside its targets, in words; empty: nothing.
    """

    name: str
    label: str
    about: str
    look: Look
    change: Change
    command: str
    warn: Warn = lambda hands, seen: ()
    destructive: bool = False
    chunk: int = 1
    done: tuple[str, ...] = ("done",)
    asks: str = ""


def as_named(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    """Targets about which there is nothing to compare."""
    return {target: Seen(state="", words=target) for target in targets}


def parts(targets: Sequence[T]) -> Iterator[Sequence[T]]:
    """The targets, so many at a time as may be asked about at once."""
    return (targets[first : first + LOOK_AT] for first in range(0, len(targets), LOOK_AT))
