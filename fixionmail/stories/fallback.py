"""A second writer for when the first cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from fixionmail.errors import PostponedError, StoryError
from fixionmail.models.operations import BUDGET_LINE
from fixionmail.models.stories import Brief, Story
from fixionmail.stories.desk import Desk
from fixionmail.stories.writer import Limits, Writer

_log = structlog.get_logger("fixionmail.stories")


@dataclass(frozen=True, kw_only=True)
class WithFallback:
    """Lets ``second`` finish what ``first`` could not, with the steps that are finished already.

    A budget that is spent is no reason: it holds everything back.
    """

    first: Writer
    second: Writer

    @property
    def name(self) -> str:
        """Of the first."""
        return self.first.name

    def limits(self, brief: Brief) -> Limits:
        """Whatever either promises: each has been held to its own."""
        one, other = self.first.limits(brief), self.second.limits(brief)
        return Limits(
            fewest_words=min(one.fewest_words, other.fewest_words),
            most_words=max(one.most_words, other.most_words),
            language=one.language,
        )

    def write(self, brief: Brief, desk: Desk) -> Story:
        """See :class:`~fixionmail.stories.writer.Writer`. The errors are the second writer's."""
        try:
            return self.first.write(brief, desk)
        except (StoryError, PostponedError) as error:
            if isinstance(error, PostponedError) and error.line == BUDGET_LINE:
                raise
            _log.warning(
                "the story goes to the second writer",
                job=str(brief.job_id),
                first=self.first.name,
                second=self.second.name,
                reason=str(error),
            )
            story = self.second.write(brief, desk)
            return replace(story, fallback_from=f"{self.first.name}: {error}"[:500])
