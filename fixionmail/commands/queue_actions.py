"""``fixionmail queues pause|resume``: closing a queue, and opening it again."""

from __future__ import annotations

import typer

from fixionmail.commands.acting import on_named

_NEEDS = "Say which queues."


def register(app: typer.Typer) -> None:
    """Add these commands to ``fixionmail queues``."""
    closed = "Let no worker of ours take jobs from these queues; what runs goes on."
    app.command("pause", help=closed)(on_named("pause-queue", _NEEDS))
    opened = "Let workers take jobs from these queues again."
    app.command("resume", help=opened)(on_named("resume-queue", _NEEDS))
