"""What the database says of the jobs of our own Redis, for the audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from fixionmail.jobs.names import story_job_id, story_of
from fixionmail.jobs.worker.keys import PREFIX
from fixionmail.ops import database_look
from fixionmail.ops.audit import DatabaseSide
from fixionmail.ops.snapshot import Observer
from fixionmail.settings import Settings
from fixionmail.store import rests


def database_side(observer: Observer) -> DatabaseSide | None:
    """What there is to ask; None for a Redis alone, under another prefix than ours, or while no database runs."""
    settings = observer.settings
    if settings is None or observer.target.key_prefix != PREFIX or rests(settings):
        return None
    return DatabaseSide(
        unknown=partial(_unknown, observer), announced=partial(_announced, observer, settings)
    )


def _unknown(observer: Observer, rq_ids: Sequence[str]) -> Sequence[str]:
    """Ids of another form than ours are somebody else's: they are not judged."""
    stories = {rq_id: story for rq_id in rq_ids if (story := story_of(rq_id))}
    missing = observer.store().operations.unknown_story_jobs(list(stories.values())) if stories else ()
    return [rq_id for rq_id, story in stories.items() if story in missing]


def _announced(observer: Observer, settings: Settings) -> Iterator[Mapping[str, object]]:
    """In fallback nothing is rung for in Redis; what was announced before it ended is rung for within a tick."""
    store, now = observer.store(), datetime.now(UTC)
    mode = database_look.look(store, now).mode
    settled = timedelta(seconds=settings.check_interval_seconds)
    if mode.mode == "fallback" or (mode.since is not None and now - mode.since < settled):
        return
    after: datetime | None = None
    while page := store.operations.announced_story_jobs(after=after):
        yield {story_job_id(job): ring_at for job, ring_at in page}
        after = page[-1][1]
