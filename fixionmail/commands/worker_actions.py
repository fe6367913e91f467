"""``fixionmail workers drain|stop|suspend|resume``: sending workers home, or to rest."""

from __future__ import annotations

import typer

from fixionmail.commands.acting import DryRun, Targets, Why, act
from fixionmail.commands.looking import KeyPrefix, RedisUrl
from fixionmail.commands.output import AsJson
from fixionmail.commands.session import Yes
from fixionmail.errors import InputError


def register(app: typer.Typer) -> None:
    """Add these commands to ``fixionmail workers``."""
    app.command()(drain)
    app.command()(stop)
    app.command()(suspend)
    app.command()(resume)


def drain(
    names: Targets = None,
    reason: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Let these workers of ours finish what they run, however long it takes, take nothing more, and end."""
    if not names:
        raise InputError("Say which workers; fixionmail workers list names them.")
    act(
        "drain-worker",
        names,
        reason=reason,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        redis_url=redis_url,
        key_prefix=key_prefix,
    )


def stop(
    names: Targets = None,
    reason: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Tell these workers to stop, as RQ's shutdown command does."""
    if not names:
        raise InputError("Say which workers; fixionmail workers list names them.")
    act(
        "stop-worker",
        names,
        reason=reason,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        redis_url=redis_url,
        key_prefix=key_prefix,
    )


def suspend(
    reason: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Let no worker of this Redis take jobs, as rq suspend does."""
    act(
        "suspend-workers",
        (),
        reason=reason,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        redis_url=redis_url,
        key_prefix=key_prefix,
    )


def resume(
    reason: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Undo suspend, as rq resume does."""
    act(
        "resume-workers",
        (),
        reason=reason,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        redis_url=redis_url,
        key_prefix=key_prefix,
    )
