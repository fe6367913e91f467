"""``fixionmail run``: one loop, a worker, or all of them in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fixionmail.errors import SettingsError

if TYPE_CHECKING:
    from fixionmail.jobs.worker.options import WorkerOptions
    from fixionmail.settings import Settings


def run(
    what: Annotated[
        str | None,
        typer.Argument(
            help="worker, scheduler, delivery, web or all; SERVICE_TYPE when left out.", show_default=False
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Worker: jobs at a time (WORKER_CONCURRENCY).", show_default=False),
    ] = None,
    queues: Annotated[
        str | None, typer.Option(help="Worker: queues, most urgent first.", show_default="emails,stories")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="Worker: stop when the queues are empty.")] = False,
    max_jobs: Annotated[
        int | None, typer.Option(min=1, help="Worker: stop after so many jobs.", show_default=False)
    ] = None,
    drain_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Worker: how long running jobs may take after a stop.", show_default="25"),
    ] = None,
) -> None:
    """Run a worker, a loop, the web service, or all of the work, until SIGTERM or Ctrl+C."""
    from fixionmail import logs
    from fixionmail.loops import service
    from fixionmail.settings import load_settings

    settings = load_settings()
    logs.set_up(settings.log_level)
    kind = what or (settings.service_type and settings.service_type.value)
    options = service.worker_options(
        settings,
        concurrency=concurrency,
        queues=tuple(name.strip() for name in queues.split(",")) if queues else None,
        burst=burst,
        max_jobs=max_jobs,
        drain_seconds=drain_seconds,
    )
    raise typer.Exit(_run(kind, settings, options))


def _run(kind: str | None, settings: Settings, options: WorkerOptions) -> int:
    from fixionmail.loops import service

    match kind:
        case "worker":
            return service.run_one_worker(settings, options)
        case "scheduler" | "delivery":
            return service.run_loops(settings, (kind,))
        case "web":
            from fixionmail.web.serving import run_web

            return run_web(settings)
        case "all":
            return service.run_all(settings, options)
        case None:
            raise SettingsError(
                "Say what to run: fixionmail run worker|scheduler|delivery|web|all, or set SERVICE_TYPE."
            )
        case _:
            raise SettingsError(f"There is no {kind!r} to run: worker, scheduler, delivery, web or all.")
