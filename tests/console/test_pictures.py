"""Every picture in the documentation is what the console shows: a change of looks is seen in review, or undone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.pictures import FOLDER, PICTURES, Picture, take


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_the_console_looks_as_in_its_picture(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")

    asyncio.run(take(picture, tmp_path))

    name = f"{picture.name}.svg"
    assert (tmp_path / name).read_text() == (FOLDER / name).read_text(), "make pictures, and look at them"


def test_every_picture_in_the_folder_is_made_by_the_script() -> None:
    assert {file.stem for file in FOLDER.glob("*.svg")} == {picture.name for picture in PICTURES}
