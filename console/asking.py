"""How the screen gets answers without waiting: work in threads, grouped, answers handed to the screen's own thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from textual.app import App
from textual.message import Message
from textual.worker import get_current_worker

from console.text import safe
from fixionmail.errors import FixionMailError

T = TypeVar("T")


@dataclass
class Answered(Message):
    """Something asked for in a thread has come. ``number`` tells a late answer from the one that is waited for."""

    group: str
    number: int
    hand_over: Callable[[], None]


class AskingApp(App[None]):
    """An app whose questions are asked in threads. A new question of a group replaces the one before it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked: dict[str, int] = {}

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
            try:
                result = work()
            except Exception as error:  # the boundary of the console's threads: whatever it is, it is told
                self._answer(group, number, partial(failed, in_words(error)))
            else:
                self._answer(group, number, partial(done, result))

        self.run_worker(run, group=group, thread=True, exit_on_error=False, exclusive=True)

    def ask_all(
        self,
        group: str,
        work: Callable[[], Iterable[T]],
        each: Callable[[T], None],
        ended: Callable[[str], None],
    ) -> None:
        """Hand over every item as it comes, then call ``ended`` with an empty string or what went wrong.

        :meth:`drop` stops it between two items.
        """
        number = self._next(group)

        def run() -> None:
            worker = get_current_worker()
            words = ""
            try:
                for item in work():
                    if worker.is_cancelled:
                        return
                    self._answer(group, number, partial(each, item))
            except Exception as error:  # as above
                words = in_words(error)
            self._answer(group, number, partial(ended, words))

        self.run_worker(run, group=group, thread=True, exit_on_error=False, exclusive=True)

    def drop(self, group: str) -> None:
        """Want no more answers of this group."""
        self._next(group)
        self.workers.cancel_group(self, group)

    def on_answered(self, message: Answered) -> None:
        """Hand over an answer that is still wanted."""
        if self._asked.get(message.group) == message.number:
            message.hand_over()

    def _next(self, group: str) -> int:
        self._asked[group] = self._asked.get(group, 0) + 1
        return self._asked[group]

    def _answer(self, group: str, number: int, hand_over: Callable[[], None]) -> None:
        self.post_message(Answered(group, number, hand_over))


def in_words(error: Exception) -> str:
    """An error as a sentence for the operator."""
    if isinstance(error, FixionMailError):
        return safe(str(error))
    return safe(f"{type(error).__name__}: {error}")
