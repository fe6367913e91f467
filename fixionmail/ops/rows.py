"""Jobs as rows of a table, out of what the scripts return."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fixionmail.ops.reading import error_of, function_of, last_line, moment_of, text_of, whole_of
from fixionmail.ops.views.jobs import JobRow

STATES = (
    *("started", "limbo", "queued", "rate_limited", "scheduled", "deferred", "ready"),
    *("failed", "finished", "canceled"),
)
"""Where a job can be found. ``limbo``: taken out of its queue by a worker of RQ's, and not yet started.
``rate_limited``: held back by RQ 3's limit on jobs of its kind. ``ready``: what it waited for has succeeded, and
RQ 3 is about to queue it."""
COLUMNS = (
    *("status", "origin", "description", "created_at", "enqueued_at", "started_at", "ended_at"),
    *("worker_name", "number_of_retries", "rate_limit_key"),
)
"""Of a job's record, as the scripts return them."""
_CAME_AT = {"queued": "enqueued_at", "limbo": "enqueued_at", "started": "started_at"}
_ENDED = ("failed", "finished", "canceled")


def row_of(reply: Sequence[Any]) -> JobRow:
    """A row as ``rows.lua`` returns it."""
    raw_state, raw_queue, raw_id, score, fields, result, own_error = reply
    state, queue = text_of(raw_state), text_of(raw_queue)
    if not fields:
        return JobRow(
            job_id=text_of(raw_id),
            state=state,
            queue=queue,
            function="",
            at=None,
            broken="There is no record of this job.",
        )
    record = dict(zip(COLUMNS, fields, strict=True))
    retries = whole_of(record["number_of_retries"])
    return JobRow(
        job_id=text_of(raw_id),
        state=state,
        queue=queue,
        function=function_of(record["description"]),
        at=_came_at(state, record, score),
        summary=last_line(error_of(own_error, result)) if state == "failed" else _about(state, record, score),
        attempts=None if retries is None else retries + 1,
        worker=text_of(record["worker_name"]),
    )


def _came_at(state: str, record: dict[str, Any], score: object) -> datetime | None:
    if state == "rate_limited":
        return moment_of(score)
    column = "ended_at" if state in _ENDED else _CAME_AT.get(state, "created_at")
    return moment_of(record[column]) or moment_of(record["created_at"])


def _about(state: str, record: dict[str, Any], score: object) -> str:
    if state == "scheduled" and (at := moment_of(score)):
        return f"to run at {at:%Y-%m-%d %H:%M:%S} UTC"
    text = " ".join(text_of(record["description"]).split())
    call = text.removeprefix(function_of(text))
    return f"limit {text_of(record['rate_limit_key'])}: {call}" if state == "rate_limited" else call
