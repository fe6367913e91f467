"""The language of the filter line: ``state:failed queue:emails age>10m err:timeout id:… func:…`` and free text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fixionmail.errors import InputError
from fixionmail.ops.rows import STATES
from fixionmail.ops.views.jobs import JobRow

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"(?<!\S)age([<>])=?(\d+(?:\.\d+)?)([smhdw]?)(?!\S)")
_AGE_LIMIT_SECONDS = 100 * 365 * 86_400
_WORD = re.compile(r'(?:[a-z]+:)?"[^"]*"?|\S+')
_FIELDS = ("state", "queue", "id", "func", "err")
_HINTS = {
    "state:": "where it is: " + ", ".join(STATES),
    "queue:": "its queue",
    "id:": "a part of its id",
    "func:": "a part of its function's name",
    "err:": "a part of its error; looks at failed jobs",
    "age>": "longer in its state than, such as 10m, 2h, 3d",
    "age<": "shorter in its state than, such as 10m, 2h, 3d",
}


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """What a job must be like; all of it holds at once. Text is compared without regard to case.

    ``older`` and ``newer`` bound how long a job has been in its state. ``words``: each is in its id, function, error
    or description.
    """

    states: tuple[str, ...] = ()
    queue: str = ""
    id_part: str = ""
    function: str = ""
    error: str = ""
    older: timedelta | None = None
    newer: timedelta | None = None
    words: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Only states and a queue are named: a page answers it, no search is needed."""
        return not (self.id_part or self.function or self.error or self.older or self.newer or self.words)

    @property
    def searched_states(self) -> tuple[str, ...]:
        """Where to look; only failed jobs have errors."""
        return self.states or (("failed",) if self.error else STATES)

    def covers(self, at: datetime | None, now: datetime) -> bool:
        """Whether a job that came into its state at ``at`` is of the right age."""
        if self.older is None and self.newer is None:
            return True
        if at is None:
            return False
        age = now - at
        return (self.older is None or age > self.older) and (self.newer is None or age < self.newer)

    def matches(self, row: JobRow, error: str, now: datetime) -> bool:
        """Whether ``row``, with its whole error text, is meant."""
        about = "\n".join((row.job_id, row.function, row.summary, error)).lower()
        return (
            (not self.states or row.state in self.states)
            and (not self.queue or row.queue == self.queue)
            and self.id_part in row.job_id.lower()
            and self.function in row.function.lower()
            and self.error in error.lower()
            and all(word in about for word in self.words)
            and self.covers(row.at, now)
        )


def parse(text: str) -> JobFilter:
    """Read a filter line; an empty one means every job.

    Raises:
        InputError: with what is wrong, and what would be right.
    """
    found: dict[str, str] = {}
    states: list[str] = []
    words: list[str] = []
    text, older, newer = _take_ages(text)
    for word in _WORD.findall(text):
        name, colon, value = word.partition(":")
        if colon and name in _FIELDS:
            value = value.strip('"')
            if name == "state":
                states += _states(value)
            elif not value:
                raise InputError(f"{name}: needs a value: {_HINTS[name + ':']}.")
            elif found.setdefault(name, value) != value:
                raise InputError(f"{name}: is there twice; a job has only one.")
        else:
            words.append(word.strip('"').lower())
    return JobFilter(
        states=tuple(dict.fromkeys(states)),
        queue=found.get("queue", ""),
        id_part=found.get("id", "").lower(),
        function=found.get("func", "").lower(),
        error=found.get("err", "").lower(),
        older=older,
        newer=newer,
        words=tuple(filter(None, words)),
    )


def hints(text: str, queues: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """How the last word of ``text`` can go on: the completed word, and what it means."""
    last = "" if not text or text[-1].isspace() else text.split()[-1]
    name, colon, begun = last.partition(":")
    if colon and name == "state":
        ready, _, begun = begun.rpartition(",")
        before = f"state:{ready}," if ready else "state:"
        return tuple((before + state, "a state") for state in STATES if state.startswith(begun))
    if colon and name == "queue":
        return tuple((f"queue:{queue}", "a queue") for queue in queues if queue.startswith(begun))
    return tuple((word, meaning) for word, meaning in _HINTS.items() if word.startswith(last))


def _take_ages(text: str) -> tuple[str, timedelta | None, timedelta | None]:
    bounds: dict[str, timedelta] = {}
    for sign, number, unit in _AGE.findall(text):
        seconds = float(number) * _UNITS[unit or "s"]
        bounds[sign] = timedelta(seconds=min(seconds, _AGE_LIMIT_SECONDS))
    rest = _AGE.sub(" ", text)
    if unread := re.search(r"(?:^|\s)(age[<>:=]\S*)", rest):
        raise InputError(f"{unread[1]} cannot be read: an age is like age>10m or age<2h (s, m, h, d, w).")
    return rest, bounds.get(">"), bounds.get("<")


def _states(value: str) -> list[str]:
    names = [name for name in value.split(",") if name]
    unknown = [name for name in names if name not in STATES]
    if unknown or not names:
        wrong = f"There is no state {unknown[0]!r}." if unknown else "state: needs a value."
        raise InputError(f"{wrong} States are {', '.join(STATES)}.")
    return names
