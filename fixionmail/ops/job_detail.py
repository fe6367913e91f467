"""One job with all that Redis knows of it: where it is, what happened to it, what it carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fixionmail.ops.connection import RedisReader, load_script
from fixionmail.ops.reading import (
    TEXT_LIMIT,
    error_of,
    function_of,
    last_line,
    moment_of,
    number_of,
    payload_of,
    text_of,
    whole_of,
)
from fixionmail.ops.views.jobs import JobDetail, RateLimit, TimelineEvent

_JOB = load_script("rows", "job")
_FIELDS = (
    *(
        "status",
        "origin",
        "description",
        "created_at",
        "enqueued_at",
        "started_at",
        "ended_at",
        "last_heartbeat",
    ),
    *("worker_name", "timeout", "result_ttl", "failure_ttl", "ttl", "retries_left", "retry_intervals"),
    *("number_of_retries", "repeats_left", "dependency_ids", "dependency_id", "group_id", "rate_limit_key"),
    *("success_callback_name", "failure_callback_name", "stopped_callback_name"),
)
_SHOWN = _FIELDS[9:17] + _FIELDS[19:]
"""Fields of the record that are shown as they are."""
_RESULT_TYPES = {
    1: "succeeded",
    2: "failed",
    3: "stopped",
    4: "asked to be retried",
    5: "used up its retries",
}
_LIFETIMES = ("failed", "finished", "canceled", "started")
"""Registries whose score is when the entry expires."""


def detail(reader: RedisReader, job_id: str) -> JobDetail | None:
    """The job, or None when nothing in Redis knows its id; one command.

    The database's part, why it does not run, and the cures are left empty: ``ops`` has others for them.

    Raises:
        RedisUnreachableError: with the reason in words.
    """
    reply = reader.run(_JOB, (job_id, *_FIELDS))
    exists, fields, data, size, meta, own_error, life_ms, results, executions, dependents, places, limit = (
        reply
    )
    if not exists and not places and not results:
        return None
    record = dict(zip(_FIELDS, fields or [None] * len(_FIELDS), strict=True))
    entries = [(text_of(raw_id), _pairs(flat)) for raw_id, flat in results]
    payload, function = payload_of(data, size)
    newest = next((entry["exc_string"] for _, entry in entries if "exc_string" in entry), None)
    return JobDetail(
        job_id=job_id,
        state=_state(bool(exists), record, places),
        places=tuple(map(_place, places)),
        queue=text_of(record["origin"]),
        function=function or function_of(record["description"]),
        payload=payload,
        error=error_of(own_error, newest)[-TEXT_LIMIT:],
        meta=_meta(meta) | {name: text_of(record[name]) for name in _SHOWN if record[name]},
        timeline=tuple(_timeline(record, entries, executions)),
        attempts=tuple(_attempt(raw_id, entry) for raw_id, entry in reversed(entries)),
        worker=text_of(record["worker_name"]),
        ttl_seconds=life_ms / 1000 if life_ms >= 0 else None,
        depends_on=_dependencies(record),
        dependents=tuple(map(text_of, dependents)),
        story_job={},
        why=(),
        limit=_limit(limit, places) if limit else None,
    )


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {text_of(flat[at]): flat[at + 1] for at in range(0, len(flat) - 1, 2)}


def _state(exists: bool, record: Mapping[str, Any], places: Sequence[Any]) -> str:
    if not exists:
        return "no record"
    status, found_in = text_of(record["status"]), [text_of(place[0]) for place in places]
    if status == "queued" and "limbo" in found_in and "queued" not in found_in:
        return "limbo"
    if status == "ready_to_enqueue":
        return "ready"
    return status or (found_in[0] if found_in else "unknown")


def _place(place: Sequence[Any]) -> str:
    raw_state, raw_queue, position, count = place
    state, where = text_of(raw_state), f"{text_of(raw_state)} on {text_of(raw_queue)}"
    if state in ("queued", "limbo"):
        return f"{where}, {text_of(position)} of {count} from the head"
    if state == "rate_limited":
        return f"rate_limited by {text_of(raw_queue)}, {text_of(position)} of {count} to be let through"
    at = moment_of(position) if (number_of(position) or 0) > 0 else None
    if state == "scheduled" and at:
        return f"{where}, to run at {at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{where}, kept until {at:%Y-%m-%d %H:%M:%S} UTC" if at and state in _LIFETIMES else where


def _limit(limit: Sequence[Any], places: Sequence[Any]) -> RateLimit:
    raw_key, most, let_through, first = limit
    place, held_back = next(
        (
            (whole_of(position), count)
            for state, name, position, count in places
            if (state, name) == (b"rate_limited", raw_key)
        ),
        (None, 0),
    )
    return RateLimit(
        key=text_of(raw_key),
        most=max(0, whole_of(most) or 0),
        let_through=let_through,
        first=tuple((text_of(each), text_of(status), text_of(queue)) for each, status, queue in first),
        place=place,
        held_back=held_back,
    )


def _meta(raw: bytes | None) -> dict[str, str]:
    if raw is None:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {"meta": payload_of(raw, len(raw))[0]}
    if not isinstance(found, dict):
        return {"meta": str(found)}
    return {
        f"meta.{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
    }


def _dependencies(record: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        found = json.loads(record["dependency_ids"] or "[]")
    except (ValueError, RecursionError):
        found = []
    ids = [str(each) for each in found] if isinstance(found, list) else []
    return tuple(ids) or tuple(filter(None, (text_of(record["dependency_id"]),)))


# ---- what happened ---------------------------------------------------------------------------------------------------


def _timeline(
    record: Mapping[str, Any], results: Sequence[tuple[str, dict[str, bytes]]], executions: Sequence[Any]
) -> list[TimelineEvent]:
    """Oldest first."""
    events = [*_from_record(record), *_from_results(results), *_from_executions(executions)]
    return sorted(events, key=lambda event: event.at or datetime.min.replace(tzinfo=UTC))


def _from_record(record: Mapping[str, Any]) -> Iterator[TimelineEvent]:
    worker = text_of(record["worker_name"])
    for field, what in (
        ("created_at", "created"),
        ("enqueued_at", f"queued on {text_of(record['origin'])}"),
        ("started_at", f"started by {worker}" if worker else "started"),
        ("ended_at", f"ended: {text_of(record['status'])}"),
        ("last_heartbeat", "last sign of life"),
    ):
        if at := moment_of(record[field]):
            yield TimelineEvent(at=at, what=what)


def _from_results(results: Sequence[tuple[str, dict[str, bytes]]]) -> Iterator[TimelineEvent]:
    for raw_id, entry in results:
        yield TimelineEvent(at=_written_at(raw_id), what=f"result: {_ending(entry)}")


def _from_executions(executions: Sequence[Any]) -> Iterator[TimelineEvent]:
    for execution, worker, created, beat in executions:
        name = f"execution {text_of(execution)[:8]} by {text_of(worker) or 'a worker that is gone'}"
        yield TimelineEvent(at=moment_of(created), what=f"{name} begins")
        if beat:
            yield TimelineEvent(at=moment_of(beat), what=f"{name}: last sign of life")


def _attempt(raw_id: str, entry: Mapping[str, bytes]) -> str:
    """One attempt in a line: when, how it ended, where, how long it took, and with what error."""
    ended = moment_of(entry.get("execution_ended_at")) or _written_at(raw_id)
    began = moment_of(entry.get("execution_started_at"))
    parts = [f"{ended:%Y-%m-%d %H:%M:%S} UTC" if ended else "at an unknown time", _ending(entry)]
    if worker := text_of(entry.get("worker_name")):
        parts.append(f"on {worker}")
    if began and ended:
        parts.append(f"after {(ended - began).total_seconds():.1f} s")
    error = last_line(error_of(None, entry.get("exc_string")))
    return " ".join(parts) + (f": {error}" if error else "")


def _ending(entry: Mapping[str, bytes]) -> str:
    return _RESULT_TYPES.get(whole_of(entry.get("type")) or 0, "ended in an unknown way")


def _written_at(raw_id: str) -> datetime | None:
    milliseconds = number_of(raw_id.partition("-")[0])
    return moment_of(str(milliseconds / 1000)) if milliseconds else None
