"""The feed: when the console looks, and that neither slow answers nor new data get in the operator's way."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from console.app import ConsoleApp
from console.canned import CannedDeck
from console.pace import IDLE_SECONDS, STOP_SECONDS, UNUSED_SECONDS, USED_SECONDS, Pace
from console.views.jobs import Jobs
from fixionmail.ops.views.jobs import JobPage
from fixionmail.ops.views.section import Section
from fixionmail.ops.views.snapshot import Snapshot
from tests.console.stage import LARGE, NOON, Stage, canned, play


def test_a_used_console_looks_every_two_seconds() -> None:
    assert Pace(used_at=100.0).wait(101.0) == USED_SECONDS


def test_one_without_focus_or_keys_looks_every_half_minute() -> None:
    assert Pace(used_at=100.0, focused=False).wait(101.0) == UNUSED_SECONDS
    assert Pace(used_at=100.0).wait(100.0 + IDLE_SECONDS) == UNUSED_SECONDS


def test_after_ten_minutes_without_a_key_it_stops_and_any_key_wakes_it() -> None:
    pace = Pace(used_at=100.0)
    assert pace.wait(100.0 + STOP_SECONDS) is None
    pace.use(100.0 + STOP_SECONDS + 1)
    assert pace.wait(100.0 + STOP_SECONDS + 1) == USED_SECONDS


def test_it_waits_three_times_as_long_as_a_slow_look_took() -> None:
    assert Pace(used_at=100.0, took=5.0).wait(101.0) == 15.0


def test_a_months_cost_is_an_hour_of_use_a_day_and_what_is_left_open_looks_on_for_ten_minutes() -> None:
    an_hour_and_a_minute_every_2_s, nine_minutes_every_30_s = 1830, 18
    looks = 30 * (an_hour_and_a_minute_every_2_s + nine_minutes_every_30_s)
    assert Pace(used_at=0.0).commands_per_month(1) == looks
    assert Pace(used_at=0.0).commands_per_month(2) == 2 * looks


def test_a_slow_deployment_is_looked_at_less_often_and_costs_less() -> None:
    assert Pace(used_at=0.0, took=5.0).commands_per_month(1) == round(30 * (3660 / 15 + 540 / 30))


def test_the_head_names_the_cost_and_what_it_assumes_and_an_open_page_counts() -> None:
    async def scene(stage: Stage) -> None:
        assert "55.4k cmds/month at 1 h a day" in stage.screen_text().splitlines()[0]
        await stage.press("2")
        await stage.look()
        assert "111k cmds/month at 1 h a day" in stage.screen_text().splitlines()[0]

    play(scene)


def test_the_head_tells_how_old_the_data_is_once_that_is_more_than_the_pace_accounts_for() -> None:
    async def scene(stage: Stage) -> None:
        assert " old" not in stage.screen_text().splitlines()[0]
        assert stage.app._good_at is not None
        stage.app._good_at -= 31
        stage.app._show_pulse()
        await stage.settle()
        assert re.search(r"▲ 3\ds old", stage.screen_text().splitlines()[0])
        await stage.look()
        assert " old" not in stage.screen_text().splitlines()[0]

    play(scene)


def test_a_look_of_which_a_part_failed_does_not_make_the_data_new() -> None:
    class Failing(CannedDeck):
        failing = False

        def look(self) -> Snapshot:
            seen = super().look()
            return replace(seen, queues=Section(error="no answer")) if self.failing else seen

    deck = Failing(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        good_at = stage.app._good_at
        deck.failing = True
        await stage.look()
        assert stage.app._good_at == good_at
        deck.failing = False
        await stage.look()
        assert stage.app._good_at != good_at

    play(scene, deck)


def test_p_pauses_and_says_so_and_p_goes_on() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("p")
        assert "paused" in stage.screen_text().splitlines()[0]
        await stage.press("p")
        assert "every 2s" in stage.screen_text().splitlines()[0]

    play(scene)


@pytest.mark.parametrize(
    ("view", "well"), [("1", "All is well"), ("6", "Nothing is stuck, lost, late or doubled.")]
)
def test_while_nobody_looks_no_more_is_said_than_was_known_at_the_last_look(view: str, well: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.press(view)
        assert well in stage.screen_text()
        await stage.press("p")
        assert well not in stage.screen_text()
        assert re.search(r"Nothing was wrong \d+s ago, at the last look\.", stage.screen_text())
        await stage.press("p")
        assert well in stage.screen_text()

    play(scene, canned(troubled=False))


@dataclass(kw_only=True)
class Hanging(CannedDeck):
    """A deployment that answers only when it is let."""

    answer: threading.Event = field(default_factory=threading.Event)

    def look(self) -> Snapshot:
        self.answer.wait(20)
        return super().look()


@pytest.mark.parametrize(("view", "well"), [("1", "All is well"), ("6", "Nothing is stuck")])
def test_all_is_well_only_after_somebody_has_looked(view: str, well: str) -> None:
    deck = Hanging(now=lambda: NOON, step_seconds=0.0, troubled=False)
    app = ConsoleApp(deck, live=False)

    async def run() -> None:
        async with app.run_test(size=LARGE) as pilot:
            await pilot.pause()
            stage = Stage(app, pilot)
            await pilot.press(view)
            assert well not in stage.screen_text()
            deck.answer.set()
            await stage.settle()
            assert well in stage.screen_text()

    asyncio.run(run())


def test_no_key_waits_for_a_deployment_that_does_not_answer() -> None:
    deck = Hanging(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        began = time.monotonic()
        for number in "2345678":
            await stage.pilot.press(number)
        assert stage.app.main.place == "health"
        assert time.monotonic() - began < 10
        deck.answer.set()
        await stage.settle()

    app = ConsoleApp(deck, live=False)

    async def run() -> None:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await scene(Stage(app, pilot))

    import asyncio

    asyncio.run(run())


@dataclass(kw_only=True)
class Flowing(CannedDeck):
    """A deployment where new jobs come at the top."""

    more: int = 0

    def jobs(self, query: str, cursor: str):  # type: ignore[no-untyped-def]
        for page in super().jobs(query, cursor):
            fresh = tuple(replace(page.rows[0], job_id=f"new-{n}") for n in range(self.more))
            yield JobPage(rows=fresh + page.rows, total=page.total, next=page.next)


def test_the_choice_follows_the_id_when_new_rows_come_above_it() -> None:
    deck = Flowing(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        await stage.press("2", "down", "down")
        chosen = stage.table("#jobs").key
        deck.more = 7
        await stage.look()
        table = stage.table("#jobs")
        assert table.key == chosen
        assert table.chosen is not None
        assert table.chosen.key == chosen
        assert table.rows[9].key == chosen

    play(scene, deck)


def test_a_search_is_not_repeated_by_looks_but_by_r() -> None:
    asked: list[str] = []

    class Asked(CannedDeck):
        def jobs(self, query: str, cursor: str):  # type: ignore[no-untyped-def]
            asked.append(query)
            yield from super().jobs(query, cursor)

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        await stage.look()
        assert asked == ["", ""]
        stage.app.main.query_one(Jobs).set_filter("err:timeout")
        await stage.settle()
        await stage.look()
        assert asked[2:] == ["err:timeout"]
        await stage.press("r")
        assert asked[2:] == ["err:timeout"] * 2

    play(scene, Asked(now=lambda: NOON, step_seconds=0.0))


def test_rows_do_not_move_while_a_question_is_open() -> None:
    deck = Flowing(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        await stage.press("2", "X")
        before = stage.table("#jobs").rows
        deck.more = 7
        await stage.look()
        assert stage.table("#jobs").rows == before
        await stage.press("escape")
        await stage.look()
        assert stage.table("#jobs").rows[0].key == "new-0"

    play(scene, deck)


def test_a_late_page_of_another_filter_is_left_aside() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "f")
        jobs = stage.app.main.query_one(Jobs)
        before = stage.table("#jobs").rows
        jobs.set_page("state:failed", "", JobPage(rows=(), total=0))
        assert stage.table("#jobs").rows == before

    play(scene)


def test_new_trouble_is_told_once_and_what_was_there_at_the_start_is_not() -> None:
    deck = canned(troubled=False)

    async def scene(stage: Stage) -> None:
        await stage.press("2")
        assert stage.toasts == []
        deck.world.troubled = True
        await stage.look()
        told = list(stage.toasts)
        assert "Nobody works on queue imports" in told
        await stage.look()
        assert stage.toasts == told

    play(scene, deck)


def test_no_toast_covers_the_list_of_troubles_or_what_is_opened_above_it() -> None:
    deck = canned(troubled=False)

    async def scene(stage: Stage) -> None:
        deck.world.troubled = True
        await stage.look()
        assert "nobody works on queue imports" in stage.screen_text().lower()
        assert stage.toasts == []

    play(scene, deck)


def test_ages_grow_with_every_look() -> None:
    moments = [NOON]

    def clock() -> datetime:
        return moments[-1]

    async def scene(stage: Stage) -> None:
        moments.append(NOON + timedelta(seconds=2))
        await stage.look()
        assert "12:04:33 UTC" in stage.screen_text()

    play(scene, canned(now=clock))
