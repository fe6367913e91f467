"""The settings file and the table of commands: what is wrong in them is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.commands import COMMANDS, VIEWS, commands_in
from console.settings import ConsoleSettings, load
from console.widgets.attention import AttentionStrip
from fixionmail.errors import SettingsError
from tests.console.stage import Stage, canned, play


def written(home: Path, text: str) -> Path:
    (home / "console.toml").write_text(text)
    return home


def complaint(home: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(written(home, text))
    return str(caught.value)


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == ConsoleSettings(theme="dark", keys={})


def test_theme_and_keys_are_read(tmp_path: Path) -> None:
    settings = load(written(tmp_path, 'theme = "light"\n[keys]\nrefresh = "ctrl+r"\n'))
    assert settings == ConsoleSettings(theme="light", keys={"refresh": "ctrl+r"})


def test_what_is_no_toml_names_the_file_and_the_place(tmp_path: Path) -> None:
    assert "console.toml is no TOML" in complaint(tmp_path, "theme = ")


def test_an_unknown_theme_names_those_there_are(tmp_path: Path) -> None:
    assert "theme must be one of dark, light, 16." in complaint(tmp_path, 'theme = "pink"')


def test_an_unknown_command_is_named(tmp_path: Path) -> None:
    assert "there is no command refesh" in complaint(tmp_path, '[keys]\nrefesh = "x"\n')


def test_a_key_that_is_no_text_is_named(tmp_path: Path) -> None:
    assert "the key of refresh must be text" in complaint(tmp_path, "[keys]\nrefresh = 5\n")


def test_a_key_that_would_do_two_things_in_one_place_names_both(tmp_path: Path) -> None:
    assert "q would be both refresh and quit." in complaint(tmp_path, '[keys]\nrefresh = "q"\n')


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    assert "nothing is called colour" in complaint(tmp_path, 'colour = "red"')


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    assert len(complaint(tmp_path, 'theme = "pink"\n[keys]\nnone = "x"\n').splitlines()) == 2


def test_a_remapped_key_works_and_is_the_one_that_is_shown() -> None:
    async def scene(stage: Stage) -> None:
        await stage.press("f9")
        assert "paused" in stage.screen_text().splitlines()[0]
        assert "f9 pause" in stage.screen_text().splitlines()[-1]
        await stage.press("p")
        assert "paused" in stage.screen_text().splitlines()[0]

    play(scene, settings=ConsoleSettings(keys={"pause": "f9"}))


def test_a_remapped_key_of_a_cure_stands_beside_its_trouble_and_works() -> None:
    deck = canned()

    async def scene(stage: Stage) -> None:
        rows = stage.app.main.query_one(AttentionStrip).rows
        assert [row.cells[3].plain for row in rows][:2] == ["E", "G"]
        await stage.press("6")
        assert " E  ask the provider" in stage.screen_text()
        await stage.press("E", "enter")
        assert [action for action, _, _ in deck.changes] == ["resolve-delivery"]

    play(scene, deck, settings=ConsoleSettings(keys={"cure-1": "E"}))


def test_the_chosen_theme_is_worn() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.app.theme == "light"

    play(scene, settings=ConsoleSettings(theme="light"))


@pytest.mark.parametrize("place", [*VIEWS, "job"])
def test_no_key_does_two_things_in_one_place(place: str) -> None:
    keys = [key for command in commands_in(place) for key in command.key.split(",")]
    assert sorted(keys) == sorted(set(keys))


def test_what_changes_something_has_an_upper_case_key_or_a_sign_and_what_looks_has_not() -> None:
    for command in COMMANDS:
        key = command.key.split(",")[0]
        if command.action:
            assert key.isupper() or key in ("plus", "minus"), command.id
        else:
            assert not key.isupper() or command.id == "copy-command", command.id


def test_every_command_says_in_a_sentence_what_it_does() -> None:
    assert all(command.about.endswith(".") and command.label for command in COMMANDS)


def test_with_no_color_set_nothing_is_coloured_whatever_the_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scene(stage: Stage) -> None:
        assert stage.app.theme == "16"
        segments = [part for strip in stage.app.screen._compositor.render_strips() for part in strip]
        filters = [each for each in stage.app._filters if each.enabled]
        assert segments
        assert any(type(each).__name__ == "NoColor" for each in filters)

    play(scene)
