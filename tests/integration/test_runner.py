"""A loop's runner, on a real database."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from fixionmail.loops.lease import RENEW_EVERY_SECONDS
from fixionmail.loops.runner import Loop, Report, Runner
from fixionmail.store import Store
from tests.commands import until


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


def test_what_a_tick_has_changed_is_told_before_the_lease_is_renewed_anyway(direct_store: Store) -> None:
    def told() -> object:
        leaders = direct_store.operations.snapshot(datetime.now(UTC).date()).leaders
        return [leader.info.get("note") for leader in leaders]

    tick = Report(note="Redis is away")
    runner = Runner(direct_store, Loop(name="scheduler", interval_seconds=60, tick=lambda fence, now: tick))
    began = time.monotonic()
    runner.start()
    try:
        until(lambda: told() == ["Redis is away"], "the note")
    finally:
        runner.stop()
    assert time.monotonic() - began < RENEW_EVERY_SECONDS
