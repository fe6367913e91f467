"""``fixionmail jobs requeue|cancel|delete|stop|repair|rering``: changing jobs."""

from __future__ import annotations

from collections.abc import Callable

import typer

from fixionmail.commands.acting import AllMatching, DryRun, Rate, Targets, Why, act, on_named
from fixionmail.commands.looking import KeyPrefix, RedisUrl
from fixionmail.commands.output import AsJson
from fixionmail.commands.session import Yes
from fixionmail.errors import InputError


def register(app: typer.Typer) -> None:
    """Add these commands to ``fixionmail jobs``."""
    for name in ("requeue", "cancel", "delete"):
        app.command(name, help=_HELP[name])(_bulk(name))
    app.command("stop", help=_HELP["stop"])(on_named("stop-job", "Say which jobs, by their ids."))
    what = "Say what to repair: ids that fixionmail audit names, or a queue."
    app.command("repair", help=_HELP["repair"])(on_named("repair-redis", what))
    app.command()(rering)


_HELP = {
    "requeue": "Queue jobs again, wherever they ended up. One without a record is passed over, not stumbled over.",
    "cancel": "Take jobs out of their queues; RQ keeps them as canceled, and they can be requeued.",
    "delete": "Remove jobs and everything RQ keeps about them.",
    "stop": "Tell the workers that run these jobs to stop them; they are kept as failed.",
    "repair": "Make Redis agree with itself about jobs, workers, or what a queue has lost; the audit names them.",
}


def _bulk(name: str) -> Callable[..., None]:
    def command(
        ids: Targets = None,
        all_matching: AllMatching = None,
        reason: Why = "",
        rate: Rate = None,
        dry_run: DryRun = False,
        yes: Yes = False,
        as_json: AsJson = False,
        redis_url: RedisUrl = None,
        key_prefix: KeyPrefix = "rq",
    ) -> None:
        if not ids and all_matching is None:
            raise InputError(
                "Say which jobs: their ids, or --all-matching with a filter such as state:failed."
            )
        act(
            name,
            ids or (),
            all_matching=all_matching,
            reason=reason,
            rate=rate,
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
            redis_url=redis_url,
            key_prefix=key_prefix,
        )

    return command


def rering(
    ids: Targets = None, reason: Why = "", dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Ring again for story jobs that wait in the database, or for all of them."""
    act("rering", ids or (), reason=reason, dry_run=dry_run, yes=yes, as_json=as_json)
