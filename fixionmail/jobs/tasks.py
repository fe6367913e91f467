"""What a queued job does. The same functions run in rq workers and in the fallback's threads.

They take ids only, read everything else from the database, and raise when they fail: a job that returns has done
its work, or found it done.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from fixionmail import deadline
from fixionmail.errors import FixionMailError, PostponedError, StaleTokenError, UnfitStoryError
from fixionmail.jobs.claims import ClaimKeeper, HeldClaim
from fixionmail.jobs.desk import JobDesk
from fixionmail.jobs.names import MAX_LANES, ROUND_SECONDS
from fixionmail.jobs.worker.context import current_execution
from fixionmail.mail.mailer import Mailer
from fixionmail.mail.pacing import SlotClock
from fixionmail.mail.render import Sender
from fixionmail.mail.send import Post
from fixionmail.models.stories import Brief, Story
from fixionmail.models.verdict import Verdict
from fixionmail.store import Store
from fixionmail.store.mail import MailLine
from fixionmail.store.writing import Limits
from fixionmail.stories import generate
from fixionmail.stories.writer import Writer

UNFIT_ATTEMPTS = 3
"""A story whose texts could not be mailed in so many attempts has failed: asking goes on costing money."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What the tasks work with."""

    store: Store
    keeper: ClaimKeeper
    writer: Writer
    limits: Mapping[str, Limits]
    """On requests to language models, by provider."""
    line: MailLine
    mailer: Mailer
    sender: Sender
    story_seconds: float
    charge: int
    """Credits that a story costs its subscriber."""
    clock: SlotClock
    ring_mail: Callable[[int], None]
    """Rings for so many rounds of mail."""


def write_story(tools: Tools, job_id: str) -> str:
    """Write the story of one job, unless it is done or somebody else is at it; returns what became of it.

    A story that cannot be asked for now, because the provider or the budget holds everybody up, goes back for a while.

    Raises:
        StoryError, DeadlineExceededError: this attempt failed; it is on record, and the job waits for the next.
        StaleTokenError: the claim passed to somebody else meanwhile; nothing was changed.
    """
    claim = tools.keeper.claim(UUID(job_id), holder=_holder(), charge=tools.charge)
    if claim is None:
        return "nothing to do"
    with claim, deadline.limit(tools.story_seconds):
        try:
            story = _written(tools, claim, claim.brief)
            return _completed(tools, claim, story)
        except StaleTokenError:
            raise
        except PostponedError as error:
            claim.postpone(_one_line(error), wait_seconds=error.wait_seconds)
            return f"postponed: {_one_line(error)}"
        except UnfitStoryError as error:
            is_last = claim.attempt >= UNFIT_ATTEMPTS
            claim.fail(_one_line(error), retry_seconds=None if is_last else retry_delay(claim.attempt))
            raise
        except FixionMailError as error:
            claim.fail(_one_line(error), retry_seconds=retry_delay(claim.attempt))
            raise
        except Exception as error:
            claim.fail(
                f"{type(error).__name__}: {_one_line(error)}", retry_seconds=retry_delay(claim.attempt)
            )
            raise


def _written(tools: Tools, claim: HeldClaim, brief: Brief) -> Story:
    claim.report("writing", 1)
    story = generate(brief, tools.writer, JobDesk(tools.store.writing, tools.limits, claim))
    deadline.check()
    return story


def _completed(tools: Tools, claim: HeldClaim, story: Story) -> str:
    verdict, due_now = tools.store.jobs.complete(
        claim.job_id,
        token=claim.token,
        story_id=uuid7(),
        delivery_id=uuid7(),
        story=story,
        charge=tools.charge,
    )
    if verdict is Verdict.STALE:
        raise StaleTokenError(
            f"The claim on story job {claim.job_id} has passed on; the story was not stored."
        )
    if due_now:
        tools.ring_mail(1)
    return "written"


def send_mail(tools: Tools) -> str:
    """One round of mail: send what is due, ring for the next round when there is more."""
    post = Post(
        line=tools.line, mailer=tools.mailer, sender=tools.sender, holder=_holder(), clock=tools.clock
    )
    result = post.send_due(seconds=ROUND_SECONDS)
    if result.stopped_by == "time":
        tools.ring_mail(MAX_LANES)
    return (
        f"{result.accepted} of {result.mails} mails in {result.requests} requests; ended: {result.stopped_by}"
    )


def retry_delay(attempt: int) -> float:
    """Seconds until attempt number ``attempt`` is followed by another: 30 s doubling to 10 min, full jitter."""
    return random.uniform(1.0, min(600.0, 30.0 * 2 ** (attempt - 1)))


def _holder() -> str:
    """A name for claims that no other run ever has."""
    execution = current_execution()
    return f"{execution.worker_name}/{execution.execution_id}" if execution else f"inline/{uuid4().hex}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
