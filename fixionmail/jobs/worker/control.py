"""What an operator can do to queues and workers, beyond rq's own commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis

from fixionmail.errors import InputError
from fixionmail.jobs.worker import keys, scripts

_MARK_FOR_DRAIN = (
    "if redis.call('HEXISTS', KEYS[1], 'birth') == 0 then return 0 end"
    " redis.call('HSET', KEYS[1], 'fm_drain', '1')"
    " redis.call('PUBLISH', ARGV[1], ARGV[2]) return 1"
)


@dataclass(frozen=True, kw_only=True)
class QueuePause:
    """A queue from which no worker takes jobs; what is running goes on."""

    queue: str
    by: str
    reason: str
    since: datetime


def pause_queue(connection: Redis, queue: str, *, by: str, reason: str) -> None:
    """Let no worker take jobs from ``queue`` until it is resumed. Pausing again replaces the reason."""
    note = json.dumps({"by": by, "reason": reason, "since": datetime.now(UTC).isoformat()})
    connection.hset(keys.PAUSED, queue, note)


def resume_queue(connection: Redis, queue: str) -> bool:
    """Open ``queue`` again and wake the workers; False when it was not paused."""
    resumed = bool(connection.hdel(keys.PAUSED, queue))
    connection.publish(keys.WAKE_CHANNEL, queue)
    return resumed


def paused_queues(connection: Redis) -> list[QueuePause]:
    """All paused queues, by name."""
    notes = scripts.command(connection, "HGETALL", keys.PAUSED)
    pauses = []
    for raw_queue, raw_note in notes.items():
        note = json.loads(raw_note)
        pauses.append(
            QueuePause(
                queue=raw_queue.decode() if isinstance(raw_queue, bytes) else raw_queue,
                by=note["by"],
                reason=note["reason"],
                since=datetime.fromisoformat(note["since"]),
            )
        )
    return sorted(pauses, key=lambda pause: pause.queue)


def drain_worker(connection: Redis, worker_name: str) -> None:
    """Let one worker finish what it runs, take nothing more, and exit with 0.

    The mark stays in its record, so that a worker that does not hear the command sees it at its next claim or
    heartbeat.

    Raises:
        InputError: there is no such worker.
    """
    drain = json.dumps({"command": "drain"})
    marked = scripts.command(
        connection,
        "EVAL",
        _MARK_FOR_DRAIN,
        1,
        keys.worker(worker_name),
        keys.command_channel(worker_name),
        drain,
    )
    if not marked:
        raise InputError(f"There is no worker named {worker_name!r}.")
