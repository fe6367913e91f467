"""What every writer of stories offers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from fixionmail.models.stories import Brief, Story
from fixionmail.stories.desk import Desk


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a writer promises for a brief, and is held to: words, and the language."""

    fewest_words: int
    most_words: int
    language: str

    @classmethod
    def around(cls, words: int, language: str) -> Limits:
        """A third less to a third more than ``words``."""
        return cls(fewest_words=ceil(words * 2 / 3), most_words=words * 4 // 3, language=language)


class Writer(Protocol):
    """Writes one story for one brief. What it returns is raw: :func:`fixionmail.stories.generate` checks it."""

    @property
    def name(self) -> str:
        """As in ``STORY_PROVIDER``."""

    def limits(self, brief: Brief) -> Limits:
        """What the story will keep to."""

    def write(self, brief: Brief, desk: Desk) -> Story:
        """Write the story at a desk, which shows progress, keeps finished steps and lets requests pass.

        Raises:
            StoryError: the writer could not, or would not; the message says what it answered.
            PostponedError: it is not the time; nothing is wrong with the story.
        """
