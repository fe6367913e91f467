"""Redis at one look: the server, all queues and all workers with what they hold, by one read-only command."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fixionmail.ops.connection import RedisReader, load_script
from fixionmail.ops.heartbeats import worker_health
from fixionmail.ops.reading import function_of, moment_of, number_of, text_of, whole_of
from fixionmail.ops.views.redis import (
    ExecutionView,
    Minute,
    PauseView,
    QueueView,
    RedisView,
    WorkerHealth,
    WorkerView,
)

_LOOK = load_script("look")
EXECUTIONS_SHOWN = 1000
"""Of all workers together; how many each holds is counted in any case."""
RATE_MINUTES = 5
_NEVER_ABOVE = 4102444800
"""A lease that ends after the year 2100 has no end."""


@dataclass(frozen=True, kw_only=True)
class RedisLook:
    """What one command told."""

    redis: RedisView
    queues: tuple[QueueView, ...]
    workers: tuple[WorkerView, ...]


def look(reader: RedisReader, queues: Sequence[str] = ()) -> RedisLook:
    """Take the look.

    Args:
        reader: the Redis.
        queues: Names of queues that are shown even while RQ knows nothing of them.

    Raises:
        RedisUnreachableError: with the reason in words.
    """
    began, began_at = time.perf_counter(), datetime.now(UTC)
    reply = reader.run(_LOOK, (EXECUTIONS_SHOWN, *queues))
    took = time.perf_counter() - began
    now_value, facts, keys, suspended, sample, foreign, queue_rows, worker_rows, broken = reply
    now = datetime.fromtimestamp(float(now_value), UTC)
    workers = tuple(_worker(row, now) for row in worker_rows)
    counted = any(row[7] for row in queue_rows)
    return RedisLook(
        redis=_server(
            _pairs(facts),
            keys=keys,
            suspended=bool(suspended),
            round_trip=took,
            skew=(now - began_at).total_seconds() - took / 2,
            layout=_layout(reader.prefix, worker_rows, sample, foreign=foreign, queues=len(queue_rows)),
            broken=tuple(dict.fromkeys(map(text_of, broken))),
        ),
        queues=tuple(_queue(row, now, workers, counted=counted) for row in queue_rows),
        workers=workers,
    )


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    return {text_of(flat[at]): text_of(flat[at + 1]) for at in range(0, len(flat), 2)}


def _server(
    facts: Mapping[str, str],
    *,
    keys: int,
    suspended: bool,
    round_trip: float,
    skew: float,
    layout: str,
    broken: tuple[str, ...],
) -> RedisView:
    flavour, version = _product(facts)
    return RedisView(
        flavour=flavour,
        version=version,
        role=facts.get("role", ""),
        used_memory=whole_of(facts.get("used_memory")) or 0,
        max_memory=whole_of(facts.get("maxmemory")) or 0,
        eviction_policy=facts.get("maxmemory_policy", ""),
        persistence=_persistence(facts),
        clients=whole_of(facts.get("connected_clients")) or 0,
        commands_per_second=whole_of(facts.get("instantaneous_ops_per_sec")) or 0,
        uptime_seconds=whole_of(facts.get("uptime_in_seconds")) or 0,
        round_trip_seconds=round_trip,
        clock_skew_seconds=skew if abs(skew) > round_trip else 0.0,  # no clock is read more closely than that
        rq_layout=layout,
        suspended=suspended,
        keys=keys,
        broken=broken,
    )


def _product(facts: Mapping[str, str]) -> tuple[str, str]:
    for field, name in (
        ("valkey_version", "Valkey"),
        ("upstash_version", "Upstash"),
        ("dragonfly_version", "Dragonfly"),
        ("keydb_version", "KeyDB"),
        ("redis_version", "Redis"),
    ):
        if field in facts:
            return name, facts[field]
    return "unknown", ""


def _persistence(facts: Mapping[str, str]) -> str:
    """``aof``, ``rdb`` (a snapshot was taken), ``none`` (none was seen) or empty where the server does not say."""
    if "aof_enabled" not in facts:
        return ""
    if facts["aof_enabled"] == "1":
        return "aof"
    return (
        "rdb" if facts.get("rdb_saves", "0") != "0" or facts.get("rdb_bgsave_in_progress") == "1" else "none"
    )


def _layout(
    prefix: str, workers: Sequence[Any], sample: Sequence[bytes], *, foreign: int, queues: int
) -> str:
    """Whose keys these are; see :class:`RedisView`. Without a worker that tells its version, the newest is meant."""
    versions = [text_of(row[2][6]) for row in workers if row[2] and row[2][6]]
    if versions:
        return "2" if all(version.startswith(("1.", "2.")) for version in versions) else "3"
    if foreign and not queues:
        return "foreign"
    if queues or workers:
        return "3"
    known = (f"{prefix}:".encode(), b"fm:")
    return "foreign" if sample and not any(key.startswith(known) for key in sample) else "none"


# ---- queues ----------------------------------------------------------------------------------------------------------


_SIZES = (
    *("waiting", "running", "lapsed", "limbo", "failed", "finished", "deferred", "scheduled", "canceled"),
    *("rate_limited", "ready"),
)
"""Of the view of a queue, as the script returns them."""


def _queue(row: Sequence[Any], now: datetime, workers: Sequence[WorkerView], *, counted: bool) -> QueueView:
    raw_name, counts, head, head_at, held, limbo_at, pause, minute_rows = row
    sizes = dict(zip(_SIZES, counts, strict=True))
    name = text_of(raw_name)
    serving = [
        worker for worker in workers if name in worker.queues and worker.health is not WorkerHealth.DEAD
    ]
    began = [moment_of(start) for start, _, _ in held]
    began += [run.started_at for worker in workers for run in worker.executions if run.queue == name]
    minutes = tuple(_minute(values) for values in minute_rows)
    into, out, lost = _rates(minutes, now) if counted else (None, None, None)
    return QueueView(
        name=name,
        **sizes,
        lapsed_jobs=tuple((text_of(job), text_of(worker)) for _, job, worker in held[: sizes["lapsed"]]),
        oldest_waiting_at=moment_of(head_at),
        oldest_running_at=min((start for start in began if start), default=None),
        oldest_limbo_at=moment_of(limbo_at),
        head_id=text_of(head),
        paused=_pause(pause),
        workers=len(serving),
        minutes=minutes,
        in_per_minute=into,
        out_per_minute=out,
        failed_per_minute=lost,
    )


def _minute(values: Sequence[Any]) -> Minute:
    minute, *sums = (whole_of(value) or 0 for value in values)
    enqueued, started, finished, failed, wait_ms, run_ms = sums
    return Minute(
        minute=minute,
        enqueued=enqueued,
        started=started,
        finished=finished,
        failed=failed,
        wait_ms=wait_ms,
        run_ms=run_ms,
    )


def _rates(minutes: Sequence[Minute], now: datetime) -> tuple[float, float, float]:
    """Jobs a minute in, out and failed, over the last whole minutes."""
    this_minute = int(now.timestamp() // 60)
    recent = [each for each in minutes if this_minute - RATE_MINUTES <= each.minute < this_minute]
    return (
        sum(each.enqueued for each in recent) / RATE_MINUTES,
        sum(each.finished + each.failed for each in recent) / RATE_MINUTES,
        sum(each.failed for each in recent) / RATE_MINUTES,
    )


def _pause(raw: bytes | None) -> PauseView | None:
    if raw is None:
        return None
    try:
        note = json.loads(raw)
    except ValueError:
        note = {}
    note = note if isinstance(note, dict) else {}
    return PauseView(
        by=str(note.get("by", "")), reason=str(note.get("reason", "")), since=moment_of(note.get("since"))
    )


# ---- workers ---------------------------------------------------------------------------------------------------------


_WORKER_FIELDS = (
    *(
        "host",
        "pid",
        "state",
        "queues",
        "birth",
        "beat",
        "version",
        "python",
        "ok",
        "failed",
        "drain",
        "stopping",
    ),
    *("current_job", "slots", "our_version"),
)
"""As the script returns them."""


def _worker(row: Sequence[Any], now: datetime) -> WorkerView:
    key, life_ms, raw_record, held, execution_rows = row
    name = text_of(key).partition(":worker:")[2] or text_of(key)
    executions = tuple(_execution(each, now) for each in execution_rows)
    if not raw_record:
        return _without_record(name, executions, held)
    record = dict(zip(_WORKER_FIELDS, raw_record, strict=True))
    beat_at = moment_of(record["beat"])
    silent = None if beat_at is None else max(0.0, (now - beat_at).total_seconds())
    return WorkerView(
        name=name,
        host=text_of(record["host"]),
        pid=whole_of(record["pid"]),
        state=text_of(record["state"]),
        health=_health(record, silent, life_ms / 1000),
        queues=tuple(filter(None, text_of(record["queues"]).split(","))),
        born_at=moment_of(record["birth"]),
        silent_seconds=silent,
        executions=executions,
        running=held,
        slots=whole_of(record["slots"]) or 1,
        version=text_of(record["our_version"] or record["version"]),
        python=text_of(record["python"]).partition(" ")[0],
        successful=whole_of(record["ok"]) or 0,
        failed=whole_of(record["failed"]) or 0,
        threaded=record["slots"] is not None,
    )


def _without_record(name: str, executions: tuple[ExecutionView, ...], held: int) -> WorkerView:
    """A worker that is listed, or holds something, and of which nothing else is left."""
    return WorkerView(
        name=name,
        host="",
        pid=None,
        state="gone",
        health=WorkerHealth.DEAD,
        queues=(),
        born_at=None,
        silent_seconds=None,
        executions=executions,
        running=held,
    )


def _health(record: Mapping[str, Any], silent_seconds: float | None, life_seconds: float) -> WorkerHealth:
    return worker_health(
        state=text_of(record["state"]),
        silent_seconds=silent_seconds,
        life_seconds=life_seconds,
        ours=record["slots"] is not None,
        leaving=bool(record["drain"] or record["stopping"]),
    )


def _execution(row: Sequence[Any], now: datetime) -> ExecutionView:
    job_id, queue, description, started, timeout, lease = row
    started_at = moment_of(started)
    limit = number_of(timeout)
    return ExecutionView(
        job_id=text_of(job_id),
        queue=text_of(queue),
        function=function_of(description),
        started_at=started_at,
        elapsed_seconds=0.0 if started_at is None else max(0.0, (now - started_at).total_seconds()),
        timeout_seconds=limit if limit is not None and limit > 0 else None,
        lease_until=_lease_end(lease),
    )


def _lease_end(score: object) -> datetime | None:
    seconds = number_of(score)
    if seconds is None or not 0 < seconds < _NEVER_ABOVE:
        return None
    return datetime.fromtimestamp(seconds, UTC)
