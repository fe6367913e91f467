"""Actions on jobs in Redis, and on Redis itself."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from functools import partial

from fixionmail.jobs.names import SEND_MAIL, WRITE_STORY
from fixionmail.jobs.operating.hand import JobSeen
from fixionmail.jobs.operating.raw_ids import text_of_id
from fixionmail.jobs.worker import scripts
from fixionmail.ops.actions import stories
from fixionmail.ops.actions.action import Action, Order, Seen, parts
from fixionmail.ops.actions.hands import Hands
from fixionmail.ops.checks.scene import many

LIMBO_SECONDS = 5.0
"""A worker that is about to start what it has just popped has done so by then."""
POLICY = "maxmemory-policy"
_BEGUN = " begun"
_MAIL = re.compile(
    r"mail|smtp|newsletter|digest|notif|invoice|receipt|remind|sms|sendgrid|postmark", re.IGNORECASE
)


def _look(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    found: dict[str, Seen] = {}
    for part in parts(targets):
        for target, job in zip(part, hands.call(partial(hands.redis.look, part)), strict=True):
            found[target] = Seen(state=_state(job), words=_words(target, job), dependents=job.dependents)
    return found


def _state(job: JobSeen) -> str:
    """Its version, marked when it had begun."""
    return job.version + (_BEGUN if job.started_at else "")


def _words(target: str, job: JobSeen) -> str:
    if not job.status:
        return f"{target}: has no record"
    return f"{target}: {job.status} in {job.queue}, {job.description or 'without a description'}"


def _change(what: str, hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    jobs = [(target, state.removesuffix(_BEGUN)) for target, state in chunk.items()]
    return dict(zip(chunk, hands.call(partial(hands.redis.change, what, jobs)), strict=True))


def _may_run_twice(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    begun = sum(each.state.endswith(_BEGUN) for each in seen.values())
    if not begun:
        return ()
    ours = sum(WRITE_STORY in each.words or SEND_MAIL in each.words for each in seen.values())
    words = [f"{begun:,} of these had begun before: what they did then, they may do again."]
    if ours and hands.has_database:
        words.append("Stories and mails are safe: the database lets none be written or sent a second time.")
    mails = sum(_may_have_mailed(each) for each in seen.values()) - (ours if hands.has_database else 0)
    if mails > 0:
        words.append(
            f"{mails:,} of those look like mail, and nothing here says whether it went out: it may go out twice."
        )
    return words


def _may_have_mailed(seen: Seen) -> bool:
    """Whether a job that had begun is called as what sends mail or messages often is."""
    function = seen.words.partition(", ")[2].partition("(")[0]
    return seen.state.endswith(_BEGUN) and bool(_MAIL.search(function))


def _leaves_dependents(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    count = sum(each.dependents for each in seen.values())
    return (
        (f"{many(count, 'job')} wait{'s' * (count == 1)} for one of these, and will for ever.",)
        if count
        else ()
    )


def _ends_stories(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    count = sum(map(stories.is_story, seen.values()))
    ended = (f"{count:,} of these are stories, which will not be written until they are requeued.",)
    return (*_leaves_dependents(hands, seen), *(ended if count else ()))


def _is_rung_again(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    count = sum(WRITE_STORY in each.words for each in seen.values()) if hands.has_database else 0
    again = (
        f"{count:,} of these ring for stories: those still wanted are rung for again; to end one, cancel it.",
    )
    return (*_leaves_dependents(hands, seen), *(again if count else ()))


_REQUEUE, _CANCEL = partial(_change, "requeue"), partial(_change, "cancel")


def _stop(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    return {target: hands.call(partial(hands.redis.stop_job, target)) for target in chunk}


def _look_at_odd(hands: Hands, targets: Sequence[str]) -> Mapping[str, Seen]:
    """A queue stands for what got lost between it and its workers."""
    at = f"{time.time():.0f}"
    found: dict[str, Seen] = {}
    for target in targets:
        lost = hands.call(partial(_lost_of, hands, target))
        for each in [target] if lost is None else lost:
            found[each] = Seen(state=at, words=each)
    return found


def _repairs_begun(hands: Hands, seen: Mapping[str, Seen]) -> Sequence[str]:
    if list(seen) == [POLICY]:
        return ()
    return ("Jobs whose worker is gone are queued again: what they had done by then, they may do again.",)


def _lost_of(hands: Hands, queue: str) -> list[str] | None:
    """Ids in a queue's intermediate list and behind lapsed leases; None when there is no such queue."""
    redis, prefix = hands.redis.connection, hands.redis.prefix
    if not scripts.command(redis, "SISMEMBER", f"{prefix}:queues", f"{prefix}:queue:{queue}"):
        return None
    limbo = scripts.command(redis, "LRANGE", f"{prefix}:queue:{queue}:intermediate", 0, -1)
    lapsed = scripts.command(redis, "ZRANGEBYSCORE", f"{prefix}:wip:{queue}", 0, time.time())
    runs = (member.rpartition(b":")[0] or member for member in lapsed)
    return list(dict.fromkeys(map(text_of_id, (*limbo, *runs))))


def _repair(hands: Hands, chunk: Mapping[str, str], order: Order) -> Mapping[str, str]:
    if POLICY in chunk:
        hands.call(lambda: hands.redis.connection.config_set(POLICY, "noeviction"))
    ids = [target for target in chunk if target != POLICY]
    newest = max((float(chunk[target]) for target in ids), default=0.0)
    time.sleep(max(0.0, min(LIMBO_SECONDS, newest + LIMBO_SECONDS - time.time())))
    words = hands.call(partial(hands.redis.repair, ids)) if ids else []
    return dict(zip(ids, words, strict=True)) | ({POLICY: "done"} if POLICY in chunk else {})


JOB_ACTIONS = (
    Action(
        name="requeue",
        label="Requeue",
        about="jobs",
        look=stories.looking(_look),
        change=stories.deciding(
            stories.retry, in_redis=_REQUEUE, bells=stories.ringing(_REQUEUE), after=("ok", "already")
        ),
        warn=_may_run_twice,
        command="fixionmail jobs requeue {targets}",
        chunk=200,
        done=("done", "already"),
    ),
    Action(
        name="cancel",
        label="Cancel",
        about="jobs",
        look=stories.looking(_look),
        change=stories.deciding(
            stories.cancel, in_redis=_CANCEL, bells=_CANCEL, after=("ok", "already", "ended")
        ),
        warn=_ends_stories,
        command="fixionmail jobs cancel {targets}",
        destructive=True,
        chunk=100,
        done=("done", "already"),
    ),
    Action(
        name="delete",
        label="Delete",
        about="jobs",
        look=_look,
        change=partial(_change, "delete"),
        warn=_is_rung_again,
        command="fixionmail jobs delete {targets}",
        destructive=True,
        chunk=100,
    ),
    Action(
        name="stop-job",
        label="Stop",
        about="jobs",
        look=_look,
        change=_stop,
        command="fixionmail jobs stop {targets}",
        destructive=True,
        done=("asked",),
    ),
    Action(
        name="repair-redis",
        label="Repair",
        about="redis",
        look=_look_at_odd,
        change=_repair,
        warn=_repairs_begun,
        command="fixionmail jobs repair {targets}",
        chunk=50,
        done=("done", "requeued", "removed", "put back", "kept", "sound"),
    ),
    stories.RERING,
)
