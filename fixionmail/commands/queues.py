"""``fixionmail queues``: how much waits, runs and failed, how fast it moves, and who serves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from fixionmail.commands import queue_actions
from fixionmail.commands.looking import KeyPrefix, RedisUrl, Watch, age, duration, opened_reader, show
from fixionmail.commands.output import AsJson, plain, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fixionmail.ops.connection import RedisReader
    from fixionmail.ops.views.redis import QueueView

app = typer.Typer(help="Queues of any RQ deployment: look, pause, resume.", no_args_is_help=True)
queue_actions.register(app)


@app.command("list")
def list_(
    as_json: AsJson = False, watch: Watch = False, redis_url: RedisUrl = None, key_prefix: KeyPrefix = "rq"
) -> None:
    """List queues: jobs by state, the oldest that waits, rates, workers. One Redis command a look, no write."""
    with opened_reader(redis_url, key_prefix) as reader:
        show(lambda: _look(reader), as_json=as_json, watch=watch)


def _look(reader: RedisReader) -> tuple[dict[str, Any], RenderableType]:
    from rich.console import Group

    from fixionmail.ops.redis_look import look

    seen, now = look(reader), datetime.now(UTC)
    document = {
        "queues": [{**asdict(queue), "drain_seconds": queue.drain_seconds} for queue in seen.queues],
        "suspended": seen.redis.suspended,
        "unreadable": seen.redis.broken,
    }
    view = table(
        ("queue", "waiting", "oldest", "running", "failed", "in/min", "out/min", "workers"),
        (_row(queue, now) for queue in seen.queues),
    )
    notes = [
        plain(f"{queue.name}: {'; '.join(_notes(queue))}") for queue in seen.queues if any(_notes(queue))
    ]
    notes += [
        plain(f"{key} cannot be read: it holds another type than RQ puts there.") for key in seen.redis.broken
    ]
    if seen.redis.suspended:
        notes.append(plain("Workers are suspended (rq suspend): none takes jobs."))
    return document, Group(view, *notes)


def _row(queue: QueueView, now: datetime) -> tuple[str, ...]:
    return (
        queue.name,
        f"{queue.waiting:,}",
        age(queue.oldest_waiting_at, now),
        f"{queue.running:,}",
        f"{queue.failed:,}",
        _rate(queue.in_per_minute),
        _rate(queue.out_per_minute),
        f"{queue.workers:,}",
    )


def _notes(queue: QueueView) -> Iterator[str]:
    if queue.paused:
        yield f"paused by {queue.paused.by}: {queue.paused.reason}"
    for count, what in (
        (queue.lapsed, "lapsed"),
        (queue.limbo, "in limbo"),
        (queue.scheduled, "scheduled"),
        (queue.deferred, "deferred"),
        (queue.ready, "ready"),
        (queue.rate_limited, "rate_limited"),
        (queue.finished, "finished"),
        (queue.canceled, "canceled"),
    ):
        if count:
            yield f"{count:,} {what}"
    if queue.drain_seconds:
        yield f"drained in {duration(queue.drain_seconds)}"


def _rate(per_minute: float | None) -> str:
    return "" if per_minute is None else f"{per_minute:,.1f}"
