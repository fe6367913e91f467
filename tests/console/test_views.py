"""What the views show of a deployment, and how one gets about in them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from textual.widgets import OptionList

from console.canned import CannedDeck
from console.commands import VIEWS, commands_in
from console.feed import CheckRow
from console.screens.delivery import DeliveryScreen
from console.screens.finding import FindingScreen
from console.screens.help import HelpText
from console.screens.job import JobScreen
from console.theme import THEMES
from console.views.health import AGAIN_SECONDS, Health
from console.views.jobs import STATES, Jobs
from console.widgets.attention import AttentionStrip
from console.widgets.chart import Chart
from console.widgets.heading import Heading
from console.widgets.logtail import LogView
from console.widgets.notice import Notice
from fixionmail.errors import RedisUnreachableError
from fixionmail.models.operations import Witness
from fixionmail.ops.history import Curve
from fixionmail.ops.rows import STATES as EVERY_STATE
from fixionmail.ops.views.section import Section
from fixionmail.ops.views.snapshot import Snapshot
from tests.console.stage import NOON, SMALL, Stage, canned, play


@pytest.mark.parametrize(("number", "name"), list(enumerate(VIEWS, 1)))
def test_a_number_key_brings_its_view_to_the_front(number: int, name: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("8" if name != "health" else "1", str(number))
        assert stage.app.main.place == name

    play(scene)


def test_the_strip_shows_what_is_wrong_worst_first_each_with_the_key_that_cures_it() -> None:
    async def scene(stage: Stage) -> None:
        rows = stage.app.main.query_one(AttentionStrip).rows
        assert [row.cells[1].plain for row in rows][:2] == [
            "3 mails may or may not have gone out",
            "Worker fixionmail-w-3 died with 1 job in hand",
        ]
        assert [row.cells[3].plain for row in rows] == ["F", "G", "H", "J", ""]

    play(scene)


def test_when_all_is_well_the_strip_says_so_and_no_badge_is_shown() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.app.main.query_one(AttentionStrip).rows == ()
        assert "All is well" in stage.screen_text()
        assert "6 Stuck   7 Processes" in stage.screen_text()

    play(scene, canned(troubled=False))


def test_other_views_keep_the_worst_trouble_in_sight() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2")
        notice = stage.app.main.query_one(Notice)
        assert notice.display
        assert "3 mails may or may not have gone out" in notice.lines(100)[0].plain

    play(scene)


def test_a_queue_row_tells_backlog_age_rates_and_workers() -> None:
    async def scene(stage: Stage) -> None:
        cells = {row.key: [cell.plain for cell in row.cells] for row in stage.table("#queues").rows}
        assert cells["imports"][1] == "39"
        assert cells["imports"][3] == "12m 20s"
        assert cells["imports"][9] == "✖ none"
        assert cells["emails"][6].endswith("/m")

    play(scene)


def test_h_shows_another_span_of_time_in_the_queues_and_the_curves() -> None:
    asked: list[int] = []

    class Remembering(CannedDeck):
        def history(self, seconds: int) -> Mapping[str, Curve]:
            asked.append(seconds)
            return super().history(seconds)

    async def scene(stage: Stage) -> None:
        assert "done a minute, 1 hour" in stage.screen_text()
        await stage.press("h", "h", "h")
        assert asked == [3600, 6 * 3600, 7 * 86_400, 365 * 86_400]
        assert "done a minute, 1 year" in stage.screen_text()
        assert "all queues, 1 year" in stage.screen_text()
        await stage.press("h")
        assert "done a minute, 1 hour" in stage.screen_text()

    play(scene, Remembering(now=lambda: NOON, step_seconds=0.0))


def test_while_a_queue_is_being_chosen_the_curves_are_its_own() -> None:
    async def scene(stage: Stage) -> None:
        everything = stage.app.main.query_one("#chart-waiting", Chart).curve
        stage.table("#queues").focus()
        await stage.press("down")
        assert "stories, 1 hour" in stage.screen_text() or "imports, 1 hour" in stage.screen_text()
        assert stage.app.main.query_one("#chart-waiting", Chart).curve != everything

    play(scene)


def test_the_curves_are_not_read_at_every_look() -> None:
    asked: list[int] = []

    class Remembering(CannedDeck):
        def history(self, seconds: int) -> Mapping[str, Curve]:
            asked.append(seconds)
            return super().history(seconds)

    async def scene(stage: Stage) -> None:
        for _ in range(3):
            await stage.look()
        assert len(asked) == 1

    play(scene, Remembering(now=lambda: NOON, step_seconds=0.0))


def test_jobs_come_page_by_page_as_one_goes_down() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2")
        first = len(stage.table("#jobs").rows)
        await stage.press("end")
        assert len(stage.table("#jobs").rows) == 2 * first

    play(scene)


def test_the_jobs_table_never_holds_more_than_a_window() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2")
        for _ in range(6):
            await stage.press("end")
        assert len(stage.table("#jobs").rows) == 600

    play(scene)


def test_f_steps_through_the_states() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "f", "f", "f")
        assert stage.app.main.query_one(Jobs).query_text == "state:failed"
        assert {row.cells[0].plain for row in stage.table("#jobs").rows} == {"✖ failed"}

    play(scene)


def test_f_comes_to_every_state_there_is() -> None:
    assert sorted(STATES) == sorted(("", *EVERY_STATE))


def test_the_filter_line_completes_its_last_word_and_applies_on_enter() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "slash")
        await stage.type("err:timeout queue:em")
        await stage.press("right", "enter")
        assert stage.app.main.query_one(Jobs).query_text == "err:timeout queue:emails"

    play(scene)


def test_number_keys_and_q_are_text_while_somebody_types() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "slash")
        await stage.type("q15")
        assert stage.app.is_running
        assert stage.app.main.place == "jobs"
        await stage.press("enter")
        assert stage.app.main.query_one(Jobs).query_text == "q15"

    play(scene)


def test_q_goes_back_to_the_overview_first_and_leaves_from_there() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("5", "q")
        assert stage.app.main.place == "overview"
        await stage.pilot.press("q")
        assert stage.app._exit

    play(scene)


def test_esc_unmarks_then_unfilters_then_goes_to_the_overview() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "f", "space")
        jobs = stage.app.main.query_one(Jobs)
        assert len(stage.table("#jobs").marked) == 1
        await stage.press("escape")
        assert (len(stage.table("#jobs").marked), jobs.query_text) == (0, "state:queued")
        await stage.press("escape")
        assert jobs.query_text == ""
        await stage.press("escape")
        assert stage.app.main.place == "overview"

    play(scene)


def test_enter_on_a_job_shows_its_error_timeline_and_payload() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "f", "f", "f", "enter")
        assert isinstance(stage.app.screen, JobScreen)
        assert "Traceback" in stage.words("#job-error")
        assert "claimed by" in stage.words("#job-timeline")
        assert "args" in stage.words("#job-payload")
        await stage.press("escape")
        assert stage.app.screen is stage.app.main

    play(scene)


def test_a_waiting_job_says_why_it_is_not_running() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "f", "enter")
        assert "it waits behind 214 others" in stage.words("#job-why")

    play(scene)


def test_failures_are_grouped_and_enter_lists_the_jobs_of_one() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("3")
        assert [row.cells[0].plain for row in stage.table("#failures").rows] == ["18", "14", "7", "4"]
        await stage.press("enter")
        assert stage.app.main.place == "jobs"
        assert stage.app.main.query_one(Jobs).query_text.startswith("state:failed err:")

    play(scene)


def test_the_chosen_workers_jobs_are_shown_below_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("4")
        assert stage.table("#workers").rows[0].cells[0].plain == "✖ dead"
        assert len(stage.table("#runs").rows) == 1
        await stage.press("down")
        assert len(stage.table("#runs").rows) > 1

    play(scene)


def test_t_goes_through_the_tabs_of_deliveries_to_the_duplicate_check() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("5")
        assert {row.cells[0].plain for row in stage.table("#deliveries-table").rows} == {"▲ uncertain"}
        await stage.press("t", "t")
        assert stage.table("#deliveries-table").rows[0].cells[1].plain == "uncertain"

    play(scene)


def test_enter_on_a_delivery_shows_what_happened_to_it_and_why_nobody_is_certain() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5", "enter")
        assert isinstance(stage.app.screen, DeliveryScreen)
        for words in ("planned", "written", "sealed under the key", "7 attempts"):
            assert words in stage.words("#delivery-timeline")
        assert "key fm/0198c2/1" in stage.words("#delivery-advice")
        assert "@example.org" in stage.words("#delivery-facts")
        await stage.press("V", "enter", "enter")
        assert deck.changes[0][:2] == ("resolve-delivery", (stage.app.screen.subject,))
        assert stage.words("#delivery-facts").startswith("state           sent")
        await stage.press("Y")
        assert stage.app.clipboard == f"fixionmail deliveries show {deck.changes[0][1][0]}"
        await stage.press("escape")
        assert stage.app.screen is stage.app.main

    play(scene, deck)


def test_the_deliveries_open_on_what_waits_for_a_decision() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("5")
        assert stage.app.main.view.note() == "uncertain"

    play(scene)


def test_the_deliveries_open_on_the_upcoming_ones_when_nothing_is_wrong() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("5")
        assert stage.app.main.view.note() == "upcoming"
        assert stage.table("#deliveries-table").rows

    play(scene, canned(troubled=False))


@pytest.mark.parametrize(
    ("seen", "tab"),
    [
        ({"uncertain": 1, "accepted_twice": 1}, "uncertain"),
        ({"missing_constraints": ("one_mail",), "states": {"missed": 2}}, "duplicates"),
        ({"witnesses": {"stuck": (Witness(subject="d-1", detail="taken", at=NOON),)}}, "sending"),
        ({"states": {"missed": 2}}, "failed"),
        ({"states": {"bounced": 2, "complained": 1}}, "upcoming"),
    ],
)
def test_each_kind_of_wrong_delivery_has_its_tab(seen: dict[str, Any], tab: str) -> None:
    class Seen(CannedDeck):
        def look(self) -> Snapshot:
            calm = super().look()
            assert calm.deliveries.value
            return replace(calm, deliveries=Section(value=replace(calm.deliveries.value, **seen)))

    async def scene(stage: Stage) -> None:
        await stage.press("5")
        assert stage.app.main.view.note() == tab

    play(scene, Seen(now=lambda: NOON, step_seconds=0.0, troubled=False))


def test_a_tab_that_somebody_has_chosen_stays_until_something_else_is_wrong() -> None:
    deck = canned(troubled=False)

    async def scene(stage: Stage) -> None:
        await stage.press("5", "t", "2", "5")
        assert stage.app.main.view.note() == "sending"
        deck.world.troubled = True
        await stage.look()
        assert stage.app.main.view.note() == "sending"
        await stage.press("2", "5")
        assert stage.app.main.view.note() == "uncertain"
        await stage.press("t", "2", "5")
        assert stage.app.main.view.note() == "failed"

    play(scene, deck)


def test_deliveries_that_are_shown_before_anything_is_known_open_with_the_first_look() -> None:
    class Late(CannedDeck):
        unknown = True

        def look(self) -> Snapshot:
            seen = super().look()
            return replace(seen, deliveries=Section(error="no answer")) if self.unknown else seen

    deck = Late(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        await stage.press("5")
        assert stage.app.main.view.note() == "upcoming"
        deck.unknown = False
        await stage.look()
        assert stage.app.main.view.note() == "uncertain"

    play(scene, deck)


def test_what_became_of_the_last_uncertain_mail_is_seen_where_it_was() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("5", "asterisk", "N", "enter", "enter")
        assert stage.app.main.view.note() == "uncertain"

    play(scene)


def test_the_keys_that_decide_about_an_uncertain_mail_stand_in_a_small_bar() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("5")
        bar = stage.screen_text().splitlines()[-1]
        for words in ("? help", "V Resolve", "S Sent", "N Not sent", "t next tab", "F Cure"):
            assert words in bar
        await stage.press("t")
        assert "N Not sent" not in stage.screen_text().splitlines()[-1]
        await stage.press("5", "2")
        assert "/ filter" in stage.screen_text().splitlines()[-1]

    play(scene, size=SMALL)


def test_suppressing_means_the_subscriber_of_the_delivery() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5")
        row = stage.table("#deliveries-table").rows[0]
        await stage.press("U", "enter")
        assert deck.changes[0][:2] == ("suppress", (row.cells[2].plain,))

    play(scene, deck)


def test_stuck_groups_findings_by_harm_and_the_audit_adds_to_them() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("6")
        headings = [row.cells[0].plain.strip() for row in stage.table("#stuck").rows if row.heading]
        assert headings[0].startswith("Will not arrive unless somebody acts")
        await stage.press("a")
        assert "182,433 of 182,433 keys and entries audited" in stage.screen_text()

    play(scene)


def test_the_log_of_the_chosen_process_is_followed_and_filtered() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("7", "slash")
        await stage.type("accepted")
        log = stage.app.main.query_one(LogView)
        assert log._seen
        assert all("accepted" in line for line in log._seen)
        await stage.press("enter", "f")
        assert not log.following

    play(scene)


def test_the_doctors_checks_show_trouble_first_with_its_fix() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("8")
        first = stage.table("#checks").rows[0]
        assert first.key.startswith("conditions:delivery-uncertain")
        assert first.cells[3].plain == "ask the provider, and record what it says"

    play(scene)


def test_what_the_doctor_no_longer_finds_is_gone_and_what_it_left_out_stays() -> None:
    class Shrinking(CannedDeck):
        found = ("one", "two")
        asked: ClassVar[list[bool]] = []

        def doctor(self, deep: bool) -> Iterator[CheckRow]:
            self.asked.append(deep)
            yield CheckRow(name="conditions", state="ok", words="fine")
            for name in self.found:
                yield CheckRow(name=name, state="bad", words="wrong", check="conditions")
            if deep:
                yield CheckRow(name="audit", state="ok", words="fine")

    deck = Shrinking(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        await stage.press("8")
        assert [row.key for row in stage.table("#checks").rows] == [
            "conditions:one",
            "conditions:two",
            ":conditions",
            ":audit",
        ]
        deck.found = ("one",)
        stage.app.main.query_one(Health)._asked_at -= AGAIN_SECONDS
        await stage.look()
        assert deck.asked == [True, False]
        assert [row.key for row in stage.table("#checks").rows] == ["conditions:one", ":conditions", ":audit"]
        await stage.press("r")
        assert deck.asked == [True, False, True]

    play(scene, deck)


def test_the_doctor_is_never_asked_while_it_examines_and_not_at_every_look() -> None:
    class Slow(CannedDeck):
        begun = 0
        go_on = threading.Event()

        def doctor(self, deep: bool) -> Iterator[CheckRow]:
            self.begun += 1
            self.go_on.wait(20)
            yield CheckRow(name="one", state="ok", words="fine")

    deck = Slow(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        await stage.pilot.press("8")
        health = stage.app.main.query_one(Health)
        began_at = health._asked_at
        for _ in range(3):
            health._asked_at -= AGAIN_SECONDS
            health.looked()
            await stage.pilot.pause()
        assert deck.begun == 1
        health._asked_at = began_at
        deck.go_on.set()
        await stage.settle()
        await stage.look()
        assert deck.begun == 1

    play(scene, deck)


def test_each_client_of_redis_is_shown_with_what_it_sends_who_costs_most_first() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("8")
        rows = stage.table("#costs").rows
        assert [row.key for row in rows][:3] == ["worker-1", "worker-2", "this console"]
        assert rows[2].cells[4].plain.endswith("M")
        assert "of others the server counts" in stage.screen_text()

    play(scene)


class Breaking(CannedDeck):
    """A deployment whose Redis half can fail."""

    broken = False

    def look(self) -> Snapshot:
        seen = super().look()
        return replace(seen, queues=Section(error="Redis does not answer")) if self.broken else seen


def test_a_section_that_fails_shows_its_error_and_its_last_good_rows_with_their_age() -> None:
    moments = [NOON]

    def clock() -> datetime:
        return moments[-1]

    deck = Breaking(now=clock, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        before = [row.key for row in stage.table("#queues").rows]
        deck.broken = True
        moments.append(NOON + timedelta(seconds=70))
        await stage.look()
        assert [row.key for row in stage.table("#queues").rows] == before
        note = stage.app.main.query_one("#head-queues", Heading).note.plain
        assert "Redis does not answer" in note
        assert "1m 10s old" in note
        assert len(stage.table("#crew-table").rows) == 4

    play(scene, deck)


class Away(CannedDeck):
    """A deployment that answers nothing."""

    def look(self) -> Snapshot:
        seen, away = super().look(), Section[Any](error="nobody answers")
        parts = {f.name: away for f in fields(seen) if isinstance(getattr(seen, f.name), Section)}
        return replace(seen, **parts)

    def _away(self, *_: object) -> Any:
        raise RedisUnreachableError("nobody answers")

    jobs = failures = deliveries = commands = processes = _away


def test_where_nobody_answers_nothing_is_said_to_be_empty() -> None:
    async def scene(stage: Stage) -> None:
        for number in range(1, len(VIEWS) + 1):
            await stage.press(str(number))
            text = stage.screen_text()
            assert "nobody answers" in text or number == 6
            for claim in (
                "No queues",
                "No worker",
                "No job has failed",
                "No delivery",
                "Nothing of ours",
                "looking",
            ):
                assert claim not in text, (number, claim)

    play(scene, Away(now=lambda: NOON, step_seconds=0.0))


def test_a_section_that_is_not_there_by_design_says_so_without_alarm() -> None:
    class RedisOnly(CannedDeck):
        def look(self) -> Snapshot:
            return replace(super().look(), funnel=Section(absent="No database is set."))

    async def scene(stage: Stage) -> None:
        assert stage.app.main.query_one("#head-funnel", Heading).note.plain == "No database is set."

    play(scene, RedisOnly(now=lambda: NOON, step_seconds=0.0))


def test_w_says_why_of_the_trouble_that_was_gone_to() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("w")
        assert "may or may not have gone out" in stage.screen_text()
        await stage.press("escape")
        stage.app.main.query_one(AttentionStrip).focus()
        await stage.press("down", "w")
        box = stage.app.screen
        assert isinstance(box, FindingScreen)
        assert box.finding == stage.app.findings[1]

    play(scene)


def test_help_lists_the_commands_of_the_view_from_the_one_table() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("4", "question_mark")
        text = stage.screen_text()
        assert "Let the worker finish what it holds" in text
        assert "Suppress" not in text

    play(scene)


def test_the_words_of_a_key_stay_beside_it_on_a_small_screen() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("question_mark")
        (help_text,) = stage.app.screen.query(HelpText)
        folded = [line.plain for line in help_text.lines(60)]
        begins = next(n for n, line in enumerate(folded) if line.startswith("       w  Say why"))
        assert folded[begins + 1].startswith(" " * 10)
        assert folded[begins + 1].endswith("cures.")

    play(scene, size=SMALL)


@pytest.mark.parametrize("place", ["job", "delivery"])
def test_what_is_shown_in_full_offers_no_key_that_does_nothing_there(place: str) -> None:
    offered = {command.id for command in commands_in(place)}
    assert not offered & {"why", "pause", "zoom", "mark", "filter"}
    assert ("cure-1" in offered) == (place == "job")


def test_the_palette_offers_what_can_be_done_here() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("4", "colon")
        await stage.type("drain")
        await stage.press("enter")
        await stage.press("enter")
        assert stage.app.screen.query_one(".dialog").border_title == "Drain worker"

    play(scene)


def test_the_palette_lists_the_commands_first_and_then_the_themes_which_it_puts_on() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("colon")
        options = stage.app.screen.query_one(OptionList)
        names = [str(options.get_option_at_index(n).prompt) for n in range(options.option_count)]
        are_themes = [name.startswith("Theme: ") for name in names]
        assert are_themes == sorted(are_themes)
        assert sum(are_themes) == len(THEMES)
        await stage.type(THEMES[-1].name)
        await stage.press("enter")
        await stage.press("enter")
        assert stage.app.theme == THEMES[-1].name

    play(scene)


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_bears_being_resized_to_almost_nothing_and_back(name: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.press(str(VIEWS.index(name) + 1))
        for size in (SMALL, (40, 10), (12, 4), (220, 60), SMALL):
            await stage.pilot.resize_terminal(*size)
            await stage.settle()
        assert stage.app.main.place == name

    play(scene)


def test_zoom_gives_the_focused_table_all_the_room() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("4")
        before = stage.table("#workers").size.height
        await stage.press("z")
        assert stage.table("#workers").size.height > before
        assert not stage.table("#runs").display
        await stage.press("escape")
        assert stage.table("#workers").size.height == before

    play(scene)


def test_y_copies_the_id_and_capital_y_the_command() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "y")
        job_id = stage.table("#jobs").key
        assert stage.app.clipboard == job_id
        await stage.press("Y")
        assert stage.app.clipboard == f"fixionmail jobs show {job_id}"

    play(scene)
