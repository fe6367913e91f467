"""Questions in threads: one of a group at a time, the newest only, and nothing that is no longer wanted."""

from __future__ import annotations

import threading

from console.asking import Line
from tests.commands import until
from tests.console.stage import Stage, play


def test_of_what_waits_behind_something_slow_only_the_newest_is_done() -> None:
    line, begun, gate, done = Line("a line"), threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        gate.wait(10)
        done.append("slow")

    line.put(slow)
    assert begun.wait(10)
    for name in ("first", "second", "third"):
        line.put(lambda name=name: done.append(name))  # type: ignore[misc]
    gate.set()
    until(lambda: not line.busy, "the line to be done", 10)
    assert done == ["slow", "third"]


def test_a_question_that_is_dropped_while_it_waits_is_never_begun() -> None:
    gate, begun, heard = threading.Event(), [], []

    async def scene(stage: Stage) -> None:
        app = stage.app
        app.ask("group", lambda: gate.wait(10), heard.append, heard.append)
        app.ask("group", lambda: begun.append("second"), heard.append, heard.append)
        app.drop("group")
        gate.set()
        await stage.settle()
        assert (begun, heard) == ([], [])

    play(scene)


def test_what_hangs_at_the_end_keeps_nobody_waiting() -> None:
    gate = threading.Event()

    async def scene(stage: Stage) -> None:
        stage.app.ask("group", lambda: gate.wait(60), lambda _: None, lambda _: None)
        await stage.pilot.press("q")

    play(scene)
    gate.set()
