"""``fixionmail metrics``: the deployment in numbers, for Prometheus."""

from __future__ import annotations

import typer


def metrics() -> None:
    """Print what the web service serves at /metrics, for a textfile collector.

    What does not answer is 0 in fixionmail_up or fixionmail_redis_up; exit code 4 when that is the database.
    """
    from fixionmail.commands.looking import error_of, opened_observer
    from fixionmail.ops.metrics import prometheus_text

    with opened_observer() as observer:
        seen = observer.look()
    typer.echo(prometheus_text(seen).decode(), nl=False)
    if trouble := error_of(seen.database):
        raise typer.Exit(trouble.exit_code)
