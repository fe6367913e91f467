"""The gate between a writer and the database: what comes through is a story that can be stored and mailed."""

from __future__ import annotations

from dataclasses import replace

from fixionmail.errors import StoryError
from fixionmail.models.stories import Brief, Story
from fixionmail.stories.clean import clean_text
from fixionmail.stories.desk import Desk
from fixionmail.stories.gates import text_problems, title_problem
from fixionmail.stories.writer import Writer


def generate(brief: Brief, writer: Writer, desk: Desk) -> Story:
    """Have ``writer`` write for ``brief`` at ``desk``, clean the text and check it.

    Raises:
        StoryError: the writer failed, or what it wrote is no story for this subscriber; the message says why.
        PostponedError: it is not the time to write.
    """
    raw = writer.write(brief, desk)
    story = replace(raw, title=clean_text(raw.title), body=clean_text(raw.body))
    problems = [
        title_problem(story.title, brief.past_titles),
        *text_problems(story.body, writer.limits(brief)),
    ]
    if found := "; ".join(filter(None, problems)):
        raise StoryError(f"The story from the {writer.name} writer was refused: {found}.")
    return story
