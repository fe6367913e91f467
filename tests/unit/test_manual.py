"""The manual names commands, options, settings, files and pages that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from fixionmail.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = typer.main.get_command(cli.app)


def commands(text: str) -> Iterator[list[str]]:
    """Every ``fixionmail …`` in code, as words, up to what is a placeholder or a comment."""
    code = re.findall(r"`(fixionmail [^`\n]+)`", text)
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        code += re.findall(r"^(?:\.venv/bin/)?(fixionmail .+)$", block, re.MULTILINE)
    for line in code:
        yield shlex.split(line.partition("#")[0].replace("\\|", "|"))


def assert_exists(words: list[str]) -> None:
    command: Any = PROGRAM
    names = words[1:]
    while hasattr(command, "commands") and names and not names[0].startswith(("-", "[")):
        choices = names.pop(0).rstrip(",").split("|")
        for name in choices:
            assert name in command.commands, f"{' '.join(words)}: there is no {name}"
        command = command.commands[choices[0]]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in names:
        for option in re.findall(r"--[a-z-]+", word):
            assert option in options, f"{' '.join(words)}: there is no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        assert_exists(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            file, _, heading = target.partition("#")
            found = page.parent / file if file else page
            assert found.exists(), target
            if heading:
                assert heading in _anchors(found), target


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page: Path) -> None:
    named = set(re.findall(r"^\s*([A-Z][A-Z_]{3,})=", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert {name.lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:fixionmail|console|tests|supabase)/[\w./-]+\.(?:py|sql|toml|lua|md))`",
        page.read_text(encoding="utf-8"),
    )
    assert [name for name in named if not (ROOT / name).exists()] == []
