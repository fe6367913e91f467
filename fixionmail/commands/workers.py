"""``fixionmail workers``: who works, on what, and how they are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from fixionmail.commands import worker_actions
from fixionmail.commands.looking import KeyPrefix, RedisUrl, Watch, duration, opened_reader, show
from fixionmail.commands.output import AsJson, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fixionmail.ops.connection import RedisReader
    from fixionmail.ops.views.redis import WorkerView

app = typer.Typer(help="Workers of any RQ deployment: look, drain, stop.", no_args_is_help=True)
worker_actions.register(app)

JOBS_NAMED = 3


@app.command("list")
def list_(
    as_json: AsJson = False, watch: Watch = False, redis_url: RedisUrl = None, key_prefix: KeyPrefix = "rq"
) -> None:
    """List workers, with the jobs they hold. One Redis command a look, no write."""
    with opened_reader(redis_url, key_prefix) as reader:
        show(lambda: _look(reader), as_json=as_json, watch=watch)


def _look(reader: RedisReader) -> tuple[dict[str, Any], RenderableType]:
    from fixionmail.ops.redis_look import look

    seen = look(reader)
    document = {
        "workers": [asdict(worker) for worker in seen.workers],
        "suspended": seen.redis.suspended,
    }
    view = table(
        ("worker", "health", "on", "queues", "holds", "silent", "done", "failed", "jobs"),
        (_row(worker) for worker in seen.workers),
    )
    return document, view


def _row(worker: WorkerView) -> tuple[str, ...]:
    return (
        worker.name,
        worker.health,
        worker.host if worker.pid is None else f"{worker.host}, pid {worker.pid}",
        ", ".join(worker.queues),
        f"{worker.running:,} of {worker.slots:,}",
        duration(worker.silent_seconds),
        f"{worker.successful:,}",
        f"{worker.failed:,}",
        _jobs(worker),
    )


def _jobs(worker: WorkerView) -> str:
    named = [
        f"{held.job_id} {duration(held.elapsed_seconds)}" + (" overdue" if held.overdue else "")
        for held in worker.executions[:JOBS_NAMED]
    ]
    more = worker.running - len(named)
    return ", ".join(named) + (f" and {more:,} more" if named and more > 0 else "")
