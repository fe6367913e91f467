"""``fixionmail metrics``: the deployment in numbers, for Prometheus."""

from __future__ import annotations

import typer


def metrics() -> None:
    """Print what the web service serves at /metrics, for a textfile collector."""
    from fixionmail.commands.status import look_at
    from fixionmail.ops.metrics import prometheus_text
    from fixionmail.settings import load_settings

    typer.echo(prometheus_text(look_at(load_settings())).decode(), nl=False)
