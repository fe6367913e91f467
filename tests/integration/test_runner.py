"""A loop's runner, on a real database."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from fixionmail.loops.runner import Loop, Report, Runner
from fixionmail.store import Store


def test_a_stop_in_the_middle_of_a_tick_lets_it_end_and_releases_the_lease(direct_store: Store) -> None:
    begun, ended = threading.Event(), threading.Event()

    def tick(fence: int, now: datetime) -> Report:
        begun.set()
        time.sleep(0.3)  # the work of a tick: it must outlast the beginning of the stop
        ended.set()
        return Report(counts={"done": 1})

    runner = Runner(direct_store, Loop(name="scheduler", interval_seconds=60, tick=tick))
    runner.start()
    assert begun.wait(20)

    runner.stop()

    assert ended.is_set()
    seen = direct_store.operations.snapshot(datetime.now(UTC).date())
    assert seen.processes == ()
    assert not any(leader.held for leader in seen.leaders)
