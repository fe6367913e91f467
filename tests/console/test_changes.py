"""Changing something: preview, the operator's word, progress, outcome, and all that refuses it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from textual import events
from textual.widgets import Input

from console.canned import CannedDeck
from console.commands import COMMANDS, VIEWS
from console.screens.change import ChangeScreen, Phase
from console.widgets.attention import curable
from fixionmail.errors import InputError
from fixionmail.ops.actions import ACTIONS
from fixionmail.ops.actions.command_line import command_line
from fixionmail.ops.views.findings import Preview, Progress
from tests.console.stage import NOON, SMALL, Stage, canned, play
from tests.console.test_text import HOSTILE


def test_nothing_is_changed_before_enter() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("G")
        assert isinstance(stage.app.screen, ChangeScreen)
        assert deck.changes == []
        await stage.press("escape")
        assert stage.app.screen is stage.app.main
        assert deck.changes == []

    play(scene, deck)


def test_two_keys_cure_the_worst_trouble_and_it_goes_from_the_strip() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("F", "enter", "enter")
        assert [action for action, _, _ in deck.changes] == ["resolve-delivery"]
        assert "may or may not" not in stage.screen_text()

    play(scene, deck)


def test_an_operator_who_knows_better_records_an_uncertain_mail_as_not_sent() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5")
        await stage.press("N", "enter")
        assert [action for action, _, _ in deck.changes] == ["resolve-not-sent"]

    play(scene, deck)


def test_a_mail_is_recorded_as_sent_by_the_providers_id_which_is_asked_for_before_the_usual_preview() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5", "S")
        assert stage.app.screen.query_one(".dialog").border_title == "Record as sent"
        assert (
            stage.app.screen.query_one("#change-detail", Input).placeholder == "the provider's id of the mail"
        )
        await stage.type("re_7")
        await stage.press("enter")
        assert "the provider's id of the mail: re_7" in stage.words("#change-text")
        assert deck.changes == []
        await stage.type("seen there")
        await stage.press("enter")
        ((action, targets, reason),) = deck.changes
        assert (action, len(targets), reason, deck.details) == ("resolve-sent", 1, "seen there", ["re_7"])

    play(scene, deck)


def test_a_mail_is_recorded_as_sent_from_its_own_screen_too() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5", "enter", "S")
        await stage.type("re_7")
        await stage.press("enter", "enter")
        assert deck.details == ["re_7"]

    play(scene, deck)


def test_without_an_id_it_is_asked_for_again() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5", "S", "space", "enter", "enter")
        assert "This needs the provider's id of the mail." in stage.words("#change-text")
        assert stage.app.screen.query_one("#change-detail", Input).has_focus
        assert deck.changes == []

    play(scene, deck)


@pytest.mark.parametrize("after", [("S",), ("S", "x"), ("S", "x", "enter"), ("S", "x", "enter", "y")])
def test_escape_leaves_an_uncertain_mail_as_it_was(after: tuple[str, ...]) -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5", *after, "escape")
        assert stage.app.screen is stage.app.main
        assert deck.changes == []

    play(scene, deck)


def test_an_id_that_cannot_be_one_is_refused_in_words_and_asked_for_again() -> None:
    class Choosy(CannedDeck):
        def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
            if detail and detail != "re_7":
                raise InputError("That is no id.")
            return super().preview(action, targets, detail)

    deck = Choosy(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        await stage.press("5", "S")
        line = stage.app.screen.query_one("#change-detail", Input)
        for text in HOSTILE:
            line.value = ""
            line.post_message(events.Paste(text))
            await stage.press("x", "enter")
            assert "That is no id." in stage.words("#change-text")
            assert all(shown.isprintable() for shown in stage.screen_text().splitlines())
        line.value = "re_7"
        await stage.press("enter", "enter")
        assert deck.details == ["re_7"]

    play(scene, deck, size=SMALL)


def test_the_reason_goes_with_the_change() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("G")
        await stage.type("worker was killed")
        await stage.press("enter")
        assert deck.changes[0][2] == "worker was killed"

    play(scene, deck)


def test_the_preview_shows_count_samples_warnings_and_the_command() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2", "space", "space", "R")
        text = stage.words("#change-text")
        assert text.startswith("2 are touched:")
        assert "had begun before" in text
        assert "$ fixionmail jobs requeue" in text

    play(scene)


@pytest.mark.parametrize("size", [(40, 10), (40, 19), SMALL, (160, 48)])
def test_the_keys_of_a_preview_stay_in_sight_however_small_the_terminal_gets(size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("H")
        await stage.pilot.resize_terminal(*size)
        await stage.settle()
        assert "⏎ do it" in stage.screen_text()

    play(scene, canned(remote=True))


def test_what_the_demo_offers_is_called_and_typed_as_in_a_real_deployment() -> None:
    deck = canned()
    cures = [cure for finding in deck.findings(deck.look(), None) for cure in finding.cures if cure.action]
    offered = {command.action for command in COMMANDS} | {cure.action for cure in cures}
    for name in offered - {"", "cure", "scale-up", "scale-down"}:
        preview = deck.preview(name, ("7",), "re_7")
        assert preview.command == command_line(ACTIONS[name], ("7",), "re_7")
        assert preview.destructive == ACTIONS[name].destructive
    assert deck.preview("scale-up", ("worker",)).command == "fixionmail processes start worker-5"
    assert deck.preview("scale-down", ("worker",)).command == "fixionmail processes stop worker-4"


def test_the_demo_cures_what_could_drop_queue_keys() -> None:
    async def scene(stage: Stage) -> None:
        assert "Redis may drop queue keys" in stage.screen_text()
        await stage.press("J", "enter", "enter")
        assert "Redis may drop queue keys" not in stage.screen_text()

    play(scene)


def test_a_star_means_all_that_match_also_those_not_loaded() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("2", "f", "f", "f", "asterisk", "R", "enter")
        assert deck.changes[0][1] == ("query:state:failed",)

    play(scene, deck)


@pytest.mark.parametrize(
    ("keys", "action", "targets"),
    [
        ("tttC", "cancel-delivery", "query:state:pending"),
        ("N", "resolve-not-sent", "query:state:uncertain"),
        ("tU", "suppress", "query:state:rejected,missed,bounced,failed,complained"),
    ],
)
def test_a_star_means_all_deliveries_of_the_tab_whatever_was_marked(
    keys: str, action: str, targets: str
) -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5", *keys[:-1], "space", "asterisk", keys[-1], "enter")
        assert deck.changes[0][:2] == (action, (targets,))

    play(scene, deck)


def test_a_second_star_marks_nothing_and_one_more_mark_means_what_is_marked() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.press("5", "t", "t", "t", "asterisk")
        assert "all of upcoming are marked" in stage.screen_text()
        await stage.press("asterisk", "space", "space")
        assert "2 marked" in stage.screen_text()
        await stage.press("C", "enter")
        assert len(deck.changes[0][1]) == 2

    play(scene, deck)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.action], ids=lambda c: f"{c.id}")
def test_a_read_only_console_refuses_every_change(command: object) -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        await stage.app.main.run_action(f"command('{command.id}')")  # type: ignore[attr-defined]
        await stage.settle()
        assert stage.app.screen is stage.app.main
        assert deck.changes == []

    place = next(iter(command.places), "overview")  # type: ignore[attr-defined]
    number = VIEWS.index(place) + 1 if place in VIEWS else 1

    async def at_its_place(stage: Stage) -> None:
        await stage.press(str(number))
        await scene(stage)

    play(at_its_place, deck, read_only=True)


def test_a_read_only_console_says_so_and_hides_the_keys_of_changes() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("2")
        assert "read-only" in stage.screen_text().splitlines()[0]
        assert "Requeue" not in stage.screen_text()
        await stage.press("R")
        assert any("only looks" in toast for toast in stage.toasts)

    play(scene, read_only=True)


def test_a_remote_environment_asks_for_its_name_before_something_destructive() -> None:
    deck = canned(remote=True)

    async def scene(stage: Stage) -> None:
        await stage.press("2", "X")
        assert stage.app.screen.query_one("#change-name", Input).has_focus
        await stage.type("prod")
        await stage.press("enter")
        assert deck.changes == []
        assert "not the name of this environment" in stage.words("#change-text")
        await stage.type("uction")
        await stage.press("enter")
        assert [action for action, _, _ in deck.changes] == ["delete"]

    play(scene, deck)


def test_what_does_not_destroy_needs_no_name_in_a_remote_environment() -> None:
    deck = canned(remote=True)

    async def scene(stage: Stage) -> None:
        await stage.press("2", "R", "enter")
        assert [action for action, _, _ in deck.changes] == ["requeue"]

    play(scene, deck)


@dataclass(kw_only=True)
class Slow(CannedDeck):
    """A deployment whose changes go on only when a test lets them."""

    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    begun_at: list[str] = field(default_factory=list)

    def run(self, preview: Preview, targets: tuple[str, ...], reason: str, cursor: str) -> Iterator[Progress]:
        self.begun_at.append(cursor)
        for done in range(int(cursor or 0) + 1, 4):
            yield Progress(done=done, total=3, outcomes={"done": done}, cursor=str(done), finished=done == 3)
            self.gate.acquire(timeout=5)


def test_a_stopped_change_tells_what_is_done_and_goes_on_where_it_stopped() -> None:
    deck = Slow(now=lambda: NOON, step_seconds=0.0)

    async def scene(stage: Stage) -> None:
        await stage.pilot.press("G")
        await stage.settle()
        await stage.pilot.press("enter")
        screen = stage.app.screen
        assert isinstance(screen, ChangeScreen)
        while screen.progress is None:
            await stage.pilot.pause()
        await stage.pilot.press("escape")
        assert screen.phase is Phase.ENDED
        assert "What is done stays done" in stage.words("#change-text")
        deck.gate.release(10)
        await stage.press("enter")
        assert deck.begun_at == ["", "1"]
        assert "3 of 3" in stage.words("#change-text")

    play(scene, deck)


def test_a_change_that_is_refused_says_why_and_closes_with_enter() -> None:
    class Refusing(CannedDeck):
        def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
            raise InputError("The job runs: stop it first.")

    async def scene(stage: Stage) -> None:
        await stage.press("G")
        assert "The job runs: stop it first." in stage.words("#change-text")
        await stage.press("enter")
        assert stage.app.screen is stage.app.main

    play(scene, Refusing(now=lambda: NOON, step_seconds=0.0))


def test_what_came_of_a_change_is_told_once_and_not_as_a_failure() -> None:
    class Telling(CannedDeck):
        def run(
            self, preview: Preview, targets: tuple[str, ...], reason: str, cursor: str
        ) -> Iterator[Progress]:
            words = "done: Valkey was started on port 6379."
            yield Progress(done=1, total=1, outcomes={words: 1}, finished=True, details=(("redis", words),))

    async def scene(stage: Stage) -> None:
        await stage.press("G", "enter")
        text = stage.words("#change-text")
        assert "done 1" in text
        assert text.count("Valkey was started on port 6379.") == 1
        assert "redis:" not in text

    play(scene, Telling(now=lambda: NOON, step_seconds=0.0))


def test_a_cure_is_asked_about_in_the_words_in_which_it_was_offered() -> None:
    async def scene(stage: Stage) -> None:
        offered = curable(stage.app.findings)[0]
        await stage.press("F")
        label = next(cure.label for cure in offered.cures if cure.action)
        box = stage.app.screen.query_one(".dialog")
        assert str(box.border_title).lower() == label.lower()

    play(scene)


def test_the_keys_stay_on_a_small_screen_however_long_the_preview_is() -> None:
    class Many(CannedDeck):
        def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
            ids = [f"story-01a20e32-00a4-73c5-8d70-9d5c9804e6{number:02}" for number in range(20)]
            return Preview(
                action=action,
                count=len(ids),
                samples=tuple(
                    f"{each}: queued in stories, a description that goes on and on" for each in ids
                ),
                warnings=(
                    "Jobs whose worker is gone are queued again: what they had done, they may do again.",
                ),
                destructive=False,
                command=f"fixionmail jobs repair {' '.join(ids)}",
            )

    async def scene(stage: Stage) -> None:
        await stage.press("F")
        assert "do it" in stage.screen_text()

    play(scene, Many(now=lambda: NOON, step_seconds=0.0), size=SMALL)


def test_what_has_no_room_in_a_small_preview_is_read_by_the_arrow_keys_while_the_keys_stay() -> None:
    class Wordy(CannedDeck):
        def preview(self, action: str, targets: tuple[str, ...], detail: str = "") -> Preview:
            warnings = tuple(f"warning {number}: {'what it may do again ' * 5}" for number in range(6))
            return replace(super().preview(action, targets), warnings=warnings, destructive=True)

    async def scene(stage: Stage) -> None:
        await stage.press("G")
        assert "do it" in stage.screen_text()
        assert "production to go on" in stage.screen_text()
        assert "warning 5" not in stage.screen_text()
        await stage.press("down", "down", "down", "down")
        assert "warning 5" in stage.screen_text()
        assert "do it" in stage.screen_text()
        await stage.type("production")
        await stage.press("enter")
        assert "done 1" in stage.screen_text()
        assert "close" in stage.screen_text()

    deck = Wordy(now=lambda: NOON, step_seconds=0.0, remote=True)
    play(scene, deck, size=SMALL)


def test_ids_that_came_to_another_end_are_named() -> None:
    class Partly(CannedDeck):
        def run(
            self, preview: Preview, targets: tuple[str, ...], reason: str, cursor: str
        ) -> Iterator[Progress]:
            yield Progress(
                done=2,
                total=2,
                outcomes={"done": 1, "moved on": 1},
                finished=True,
                details=(("a-1", "done"), ("b-2", "moved on")),
            )

    async def scene(stage: Stage) -> None:
        await stage.press("G", "enter")
        assert "moved on 1" in stage.words("#change-text")
        assert "b-2: moved on" in stage.words("#change-text")
        assert "a-1" not in stage.words("#change-text").split("done 1")[1]

    play(scene, Partly(now=lambda: NOON, step_seconds=0.0))


def test_five_minutes_of_looking_around_change_nothing() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        looking = [command for command in COMMANDS if not command.action and command.id != "quit"]
        for number in range(1, len(VIEWS) + 1):
            await stage.press(str(number))
            for command in looking:
                await stage.app.screen.run_action(f"command('{command.id}')")
                await stage.pilot.pause()
                while len(stage.app.screen_stack) > 1:
                    stage.app.pop_screen()
                    await stage.pilot.pause()
        await stage.settle()
        assert deck.changes == []

    play(scene, deck)
