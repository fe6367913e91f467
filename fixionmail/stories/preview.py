"""A story written by hand: nobody is mailed, and nothing of it is kept but what it cost."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from fixionmail import wishes
from fixionmail.errors import FixionMailError, InputError
from fixionmail.models.stories import Brief, RequestEnd, Story
from fixionmail.store.writing import Ask, Limits, Writing
from fixionmail.stories.clean import clean_text
from fixionmail.stories.gates import GateResult, text_results, title_problem
from fixionmail.stories.shared_desk import SharedDesk
from fixionmail.stories.writer import Writer

BIBLE_KEYS = ("genre", "setting", "character", "intensity", "length", "language")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of a preview, and what it came to."""

    step: str
    model: str
    end: RequestEnd


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What came of it: a story with what the gates say, or what went wrong."""

    story: Story | None
    error: str
    gates: tuple[GateResult, ...]
    requests: tuple[Asked, ...]

    @property
    def is_good(self) -> bool:
        """Whether it could be mailed."""
        return self.story is not None and not any(result.problem for result in self.gates)


class PreviewDesk(SharedDesk):
    """Shows what is written as it arrives, and remembers each request.

    Args:
        on_progress: is told step and percent.
        on_text: is told step and piece.
    """

    def __init__(
        self,
        writing: Writing,
        limits: Mapping[str, Limits],
        *,
        on_progress: Callable[[str, int], None],
        on_text: Callable[[str, str], None],
    ) -> None:
        super().__init__(writing, limits)
        self.requests: list[Asked] = []
        self._on_progress = on_progress
        self._on_text = on_text

    def report(self, step: str, percent: int) -> None:
        """See :class:`~fixionmail.stories.desk.Desk`."""
        self._on_progress(step, percent)

    def hear(self, step: str, piece: str) -> None:
        """See :class:`~fixionmail.stories.desk.Desk`."""
        self._on_text(step, piece)

    def settle(self, provider: str, ask: Ask, end: RequestEnd, keep: Mapping[str, Any] | None = None) -> None:
        """See :class:`~fixionmail.stories.desk.Desk`."""
        self.requests.append(Asked(step=ask.step, model=ask.model, end=end))
        super().settle(provider, ask, end, keep)


def write_preview(brief: Brief, writer: Writer, desk: PreviewDesk) -> Preview:
    """Write a story and let every gate say what it thinks, whether or not another has found something."""
    try:
        raw = writer.write(brief, desk)
    except FixionMailError as error:
        return Preview(story=None, error=str(error), gates=(), requests=tuple(desk.requests))
    story = replace(raw, title=clean_text(raw.title), body=clean_text(raw.body))
    title = GateResult(gate="title", problem=title_problem(story.title, brief.past_titles))
    gates = (title, *text_results(story.body, writer.limits(brief)))
    return Preview(story=story, error="", gates=gates, requests=tuple(desk.requests))


def read_bible(file: Path, *, preview_id: UUID, local_date: date, check: Callable[[str, str], str]) -> Brief:
    """The brief that a TOML or JSON file describes.

    Args:
        file: has some of :data:`BIBLE_KEYS`, and ``past_titles`` if need be.
        check: brings one preference into the form in which it is stored.

    Raises:
        InputError: it cannot be read, or says what no subscriber could say.
    """
    fields = _document(file)
    if unknown := sorted(set(fields) - {*BIBLE_KEYS, "past_titles"}):
        raise InputError(f"{file} says {unknown[0]!r}; a bible has {', '.join(BIBLE_KEYS)} and past_titles.")
    bible = {key: check(key, str(fields[key])) for key in BIBLE_KEYS if key in fields}
    titles = fields.get("past_titles", [])
    if not isinstance(titles, list):
        raise InputError(f"past_titles in {file} must be a list.")
    return Brief(
        job_id=preview_id,
        user_id=preview_id,
        local_date=local_date,
        genre=bible.get("genre", ""),
        setting=bible.get("setting", ""),
        character=bible.get("character", ""),
        intensity=wishes.intensity(bible.get("intensity")),
        length=wishes.length(bible.get("length")),
        language=wishes.language(bible.get("language")),
        past_titles=tuple(map(str, titles)),
    )


def _document(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read as TOML or JSON: {error}.") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} must hold one object.")
    return found
