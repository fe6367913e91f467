"""What every writer of stories offers."""

from __future__ import annotations

from typing import Protocol

from fixionmail.models import Brief, Story


class Writer(Protocol):
    """Writes one story for one brief. What it returns is raw: :func:`fixionmail.stories.generate` checks it."""

    @property
    def name(self) -> str:
        """As in ``STORY_PROVIDER``."""

    def write(self, brief: Brief) -> Story:
        """Write the story.

        Raises:
            StoryError: the writer could not, or would not; the message says what it answered.
        """
