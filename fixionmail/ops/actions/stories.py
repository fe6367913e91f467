"""Story jobs: requeued, cancelled and rung for. The database decides; what rings for them in Redis follows.

A story job goes by its own id or by that of its doorbell, ``story-<id>``. Without a database, or when it does not know
the job, all this is as for any other job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from fixionmail.errors import RedisUnreachableError
from fixionmail.jobs.dispatch import QueueDispatcher
from fixionmail.jobs.names import story_job_id, story_meant
from fixionmail.models.jobs import StoryJobSeen
from fixionmail.ops.actions.action import Action, Change, Look, Order, Seen, parts
from fixionmail.ops.actions.hands import Hands

_AND = "\n"
"""Between what was seen of a job in the database and what was seen in Redis."""
_UNSEEN = Seen(state="", words="")
_WORDS = {"ok": "done", "changed": "moved on"}
Decide = Callable[[Hands, Mapping[UUID, str], Order], Mapping[UUID, str]]
"""Change these story jobs, given with what was seen of them, in the database; a verdict for each."""


def is_story(seen: Seen) -> bool:
    """Whether the database knows it."""
    return _AND in seen.state


def looking(in_redis: Look) -> Look:
    """A look at any jobs; it does without Redis when all are story jobs, and names them by their doorbells."""

    def look(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
        rows = _rows(hands, targets)
        wanted = [bell if (bell := _bell(target)) in rows else target for target in targets]
        bells = _bells(in_redis, hands, wanted, may_be_away=bool(rows) and rows.keys() >= set(wanted))
        return {
            target: _both(target, rows[target], bells.get(target, _UNSEEN))
            if target in rows
            else bells[target]
            for target in wanted
        }

    return look


def _rows(hands: Hands, targets: Sequence[str]) -> dict[str, StoryJobSeen]:
    if not hands.has_database:
        return {}
    ids = [story for target in targets if (story := story_meant(target))]
    rows = (row for part in parts(ids) for row in hands.store.decisions.seen(part))
    return {story_job_id(row.job_id): row for row in rows}


def _bell(target: str) -> str:
    story = story_meant(target)
    return story_job_id(story) if story else target


def _bells(in_redis: Look, hands: Hands, wanted: Sequence[str], *, may_be_away: bool) -> Mapping[str, Seen]:
    if may_be_away and not hands.redis_url:
        return {}
    try:
        return in_redis(hands, wanted)
    except RedisUnreachableError:
        if may_be_away:
            return {}
        raise


def _both(target: str, row: StoryJobSeen, bell: Seen) -> Seen:
    words = f"in the database {row.state}, attempt {row.attempt} of {row.max_attempts}"
    return replace(bell, state=row.seen + _AND + bell.state, words=f"{bell.words or target}; {words}")


def deciding(decide: Decide, *, in_redis: Change, bells: Change, after: Sequence[str]) -> Change:
    """A change of any jobs; of story jobs in the database first.

    Args:
        decide: what is done in the database.
        in_redis: what is done to other jobs.
        bells: what is done to the doorbells of story jobs that were seen in Redis.
        after: the verdicts after which it is.
    """

    def change(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
        seen = {target: state.split(_AND, 1) for target, state in chunk.items() if _AND in state}
        others = {target: state for target, state in chunk.items() if target not in seen}
        verdicts = _verdicts(decide, hands, {target: row for target, (row, _) in seen.items()}, order)
        rung = {target: bell for target, (_, bell) in seen.items() if bell and verdicts[target] in after}
        said = {
            **(in_redis(hands, others, order) if others else {}),
            **(bells(hands, rung, order) if rung else {}),
        }
        return {target: _word(verdicts.get(target), said.get(target, "")) for target in chunk}

    return change


def _verdicts(decide: Decide, hands: Hands, seen: Mapping[str, str], order: Order) -> Mapping[str, str]:
    ids = {target: story for target in seen if (story := story_meant(target))}
    answers = decide(hands, {ids[target]: row for target, row in seen.items()}, order) if ids else {}
    return {target: answers[story] for target, story in ids.items()}


def _word(verdict: str | None, said: str) -> str:
    """The outcome: the database's word, or Redis's where the database had nothing to do."""
    if verdict is None or (verdict in ("already", "ended") and said not in ("", "gone")):
        return said
    return _WORDS.get(verdict, verdict)


def cancel(hands: Hands, seen: Mapping[UUID, str], order: Order) -> Mapping[UUID, str]:
    """Let these stories not be written."""
    return hands.store.decisions.cancel(seen, **order.signature)


def retry(hands: Hands, seen: Mapping[UUID, str], order: Order) -> Mapping[UUID, str]:
    """Let these stories be written after all, at once and with all attempts."""
    return hands.store.decisions.retry(seen, **order.signature)


def ringing(requeue: Change) -> Change:
    """Requeue doorbells, and ring for those of which Redis has no record any more."""

    def change(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
        said = requeue(hands, chunk, order)
        gone = [story for target, word in said.items() if word == "gone" and (story := story_meant(target))]
        if gone:
            _ring_for(hands, gone, mail=0)
        return said

    return change


def _look_at_unrung(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    return {target: Seen(state="", words=target) for target in (targets or ("everything that is announced",))}


def _ring(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    """Ring for these story jobs, or for all that are announced and not picked up, and for mail."""
    ids = [story for target in chunk if (story := story_meant(target))]
    if len(ids) < len(chunk):
        ids = list(hands.store.operations.waiting_jobs())
    _ring_for(hands, ids, mail=1)
    return dict.fromkeys(chunk, "done")


def _ring_for(hands: Hands, stories: Sequence[UUID], *, mail: int) -> None:
    """Ring for these stories, and for so many rounds of mail."""
    settings = hands.settings
    bell = QueueDispatcher(
        hands.redis_url or "",
        story_timeout=settings.story_job_timeout_seconds,
        mail_timeout=settings.email_job_timeout_seconds,
    )
    try:
        hands.call(lambda: bell.ring_stories(stories))
        hands.call(lambda: bell.ring_mail(mail))
    finally:
        bell.close()


RERING = Action(
    name="rering",
    label="Ring again",
    about="jobs",
    look=_look_at_unrung,
    change=_ring,
    command="fixionmail jobs rering {targets}",
    chunk=500,
)
