"""The gate between a writer and the database: what comes through is a story that can be stored and mailed."""

from __future__ import annotations

from fixionmail.errors import StoryError
from fixionmail.models import Brief, Story
from fixionmail.stories.clean import clean_text
from fixionmail.stories.writer import Writer

FEWEST_WORDS = 600
MOST_WORDS = 1_200
LONGEST_TITLE = 200
"""Characters."""


def generate(brief: Brief, writer: Writer) -> Story:
    """Have ``writer`` write for ``brief``, clean the text and check it.

    Raises:
        StoryError: the writer failed, or what it wrote is no story for this subscriber; the message says why.
    """
    raw = writer.write(brief)
    title, body = clean_text(raw.title), clean_text(raw.body)
    problem = _wrong_title(title, brief) or _wrong_body(body)
    if problem:
        raise StoryError(f"The story from the {writer.name} writer was refused: {problem}.")
    return Story(title=title, body=body, writer=writer.name)


def _wrong_title(title: str, brief: Brief) -> str | None:
    if not title:
        return "it has no title"
    if "\n" in title:
        return "its title runs over several lines"
    if len(title) > LONGEST_TITLE:
        return f"its title has {len(title)} characters, more than {LONGEST_TITLE}"
    if _same(title) in {_same(past) for past in brief.past_titles}:
        return f"the subscriber has already had a story called {title!r}"
    return None


def _wrong_body(body: str) -> str | None:
    words = len(body.split())
    if not words:
        return "it is empty"
    if not FEWEST_WORDS <= words <= MOST_WORDS:
        return f"it has {words} words, and {FEWEST_WORDS} to {MOST_WORDS} are wanted"
    return None


def _same(title: str) -> str:
    """Titles that differ only in letter case or spacing are the same title."""
    return " ".join(title.casefold().split())
