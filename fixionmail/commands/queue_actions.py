"""``fixionmail queues pause|resume``: closing a queue, and opening it again."""

from __future__ import annotations

import typer

from fixionmail.commands.acting import DryRun, Targets, Why, act
from fixionmail.commands.looking import KeyPrefix, RedisUrl
from fixionmail.commands.output import AsJson
from fixionmail.commands.session import Yes
from fixionmail.errors import InputError


def register(app: typer.Typer) -> None:
    """Add these commands to ``fixionmail queues``."""
    app.command()(pause)
    app.command()(resume)


def pause(
    names: Targets = None,
    reason: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Let no worker of ours take jobs from these queues; what runs goes on."""
    if not names:
        raise InputError("Say which queues.")
    act(
        "pause-queue",
        names,
        reason=reason,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        redis_url=redis_url,
        key_prefix=key_prefix,
    )


def resume(
    names: Targets = None,
    reason: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    key_prefix: KeyPrefix = "rq",
) -> None:
    """Let workers take jobs from these queues again."""
    if not names:
        raise InputError("Say which queues.")
    act(
        "resume-queue",
        names,
        reason=reason,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        redis_url=redis_url,
        key_prefix=key_prefix,
    )
