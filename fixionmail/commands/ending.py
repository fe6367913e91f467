"""How a command that is told to end does so: with all that is left to do, and a chunk under way done and counted."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a terminal that is gone, end what runs within as Ctrl+C does: with all that is left
    to do, such as putting on record what was done, and showing the cursor again.
    """
    with _handled(lambda number, _: _end(number), signal.SIGTERM, signal.SIGHUP):
        yield


@contextmanager
def ended_between_chunks(
    *numbers: signal.Signals, words: str = "Ending after what is under way. Ctrl+C again ends at once."
) -> Iterator[Callable[[float], None]]:
    """Let ``numbers``, or else Ctrl+C, SIGTERM and SIGHUP, end what runs within only where it pauses, so that whoever
    is told how much was done is told all of it. The first one is answered with ``words``; a second one ends it at once.

    Yields the pause: takes seconds, perhaps 0, and raises KeyboardInterrupt or SystemExit once an end is wanted.
    """
    ending = _Ending(words)
    with _handled(ending.on_signal, *(numbers or (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))):
        yield ending.pause


class _Ending:
    """An end that is wanted, and whether it may come now."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._wanted: int | None = None
        self._pausing = False

    def on_signal(self, number: int, _: FrameType | None) -> None:
        at_once = self._pausing or self._wanted is not None
        self._wanted = number
        if at_once:
            _end(number)
        with suppress(OSError):  # of a terminal that is gone
            os.write(2, f"\n{self._words}\n".encode())

    def pause(self, seconds: float) -> None:
        self._pausing = True
        try:
            if self._wanted is not None:
                _end(self._wanted)
            time.sleep(seconds)
        finally:
            self._pausing = False


def _end(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


@contextmanager
def _handled(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Signals that whoever started this has it ignore, such as nohup, stay ignored."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
