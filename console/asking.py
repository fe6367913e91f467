"""How the screen gets answers without waiting: work in threads, grouped, answers handed to the screen's own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from textual.app import App
from textual.message import Message

from console.text import safe
from fixionmail.errors import FixionMailError

T = TypeVar("T")


@dataclass
class Answered(Message):
    """Something asked for in a thread has come. ``number`` tells a late answer from the one that is waited for."""

    group: str
    number: int
    hand_over: Callable[[], None]


class Line:
    """Does one thing at a time in a thread that nobody waits for at the end; of what waits, the newest only."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._busy = False

    @property
    def busy(self) -> bool:
        """Something is being done."""
        with self._lock:
            return self._busy

    def put(self, work: Callable[[], None]) -> None:
        """Do ``work``, which raises nothing, after what is being done."""
        with self._lock:
            self._next = work
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while (work := self._take()) is not None:
            work()

    def _take(self) -> Callable[[], None] | None:
        with self._lock:
            work, self._next = self._next, None
            self._busy = work is not None
            return work


class AskingApp(App[None]):
    """An app whose questions are asked in threads, one of each group at a time.

    A new question of a group replaces the one before it: that one's answer is no longer wanted.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked: dict[str, int] = {}
        self._lines: dict[str, Line] = {}

    @property
    def is_asking(self) -> bool:
        """Some question is not answered yet."""
        return any(line.busy for line in self._lines.values())

    def ask(
        self,
        group: str,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[str], None],
    ) -> None:
        """Do ``work`` in a thread, then call ``done`` with its result or ``failed`` with a sentence."""
        number = self._next(group)

        def run() -> None:
            if not self._is_wanted(group, number):
                return
            try:
                result = work()
            except Exception as error:  # the boundary of the console's threads: whatever it is, it is told
                self._answer(group, number, partial(failed, in_words(error)))
            else:
                self._answer(group, number, partial(done, result))

        self._line(group).put(run)

    def ask_all(
        self,
        group: str,
        work: Callable[[], Iterable[T]],
        each: Callable[[T], None],
        ended: Callable[[str], None],
    ) -> None:
        """Hand over every item as it comes, then call ``ended`` with an empty string or what went wrong.

        A new question or :meth:`drop` stops it between two items.
        """
        number = self._next(group)

        def run() -> None:
            words = ""
            if not self._is_wanted(group, number):
                return
            try:
                for item in work():
                    if not self._is_wanted(group, number):
                        return
                    self._answer(group, number, partial(each, item))
            except Exception as error:  # as above
                words = in_words(error)
            self._answer(group, number, partial(ended, words))

        self._line(group).put(run)

    def drop(self, group: str) -> None:
        """Want no more answers of this group."""
        self._next(group)

    def on_answered(self, message: Answered) -> None:
        """Hand over an answer that is still wanted."""
        if self._is_wanted(message.group, message.number):
            message.hand_over()

    def _line(self, group: str) -> Line:
        return self._lines.setdefault(group, Line(group))

    def _next(self, group: str) -> int:
        self._asked[group] = self._asked.get(group, 0) + 1
        return self._asked[group]

    def _is_wanted(self, group: str, number: int) -> bool:
        return self._asked.get(group) == number

    def _answer(self, group: str, number: int, hand_over: Callable[[], None]) -> None:
        self.post_message(Answered(group, number, hand_over))


def in_words(error: Exception) -> str:
    """An error as a sentence for the operator."""
    if isinstance(error, FixionMailError):
        return safe(str(error))
    return safe(f"{type(error).__name__}: {error}")
