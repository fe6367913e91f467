"""``fixionmail health``: whether what runs here does its job, for container engines and supervisors."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from fixionmail.errors import SettingsError

if TYPE_CHECKING:
    from fixionmail.settings import Settings

HTTP_SECONDS = 5.0


def health(
    what: Annotated[
        str | None,
        typer.Argument(
            help="worker, scheduler, delivery or web; SERVICE_TYPE when left out.", show_default=False
        ),
    ] = None,
) -> None:
    """Exit 0 when the process of this kind on this host does its job, 1 when it does not, 4 when nobody can tell."""
    from fixionmail.settings import ServiceType, load_settings

    settings = load_settings()
    kind = what or (settings.service_type and settings.service_type.value)
    if kind not in set(ServiceType):
        raise SettingsError(
            "Say whose health: fixionmail health worker|scheduler|delivery|web, or set SERVICE_TYPE."
        )
    is_well, words = _web(settings) if kind == "web" else _process(settings, kind)
    typer.echo(words)
    raise typer.Exit(0 if is_well else 1)


def _web(settings: Settings) -> tuple[bool, str]:
    """What the web service says of itself."""
    import httpx

    try:
        answer = httpx.get(f"http://127.0.0.1:{settings.port}/readyz", timeout=HTTP_SECONDS)
    except httpx.HTTPError as error:
        return False, f"web does not answer on port {settings.port}: {error}"
    return answer.is_success, f"web is {'ready' if answer.is_success else 'not ready'}"


def _process(settings: Settings, kind: str) -> tuple[bool, str]:
    """When a process of this kind on this host was last heard of by the database."""
    import socket
    from datetime import UTC, datetime

    from fixionmail.ops.heartbeats import PROCESS_SILENCE_SECONDS
    from fixionmail.ops.snapshot import Observer

    with closing(Observer(redis_url=None, settings=settings)) as observer:
        processes = observer.store().operations.snapshot(datetime.now(UTC).date()).processes
    silences = [p.silent_seconds for p in processes if p.kind == kind and p.host == socket.gethostname()]
    if not silences:
        return False, f"no {kind} of this host reports to the database"
    return min(silences) <= PROCESS_SILENCE_SECONDS, f"{kind} was last heard of {min(silences):.0f} s ago"
