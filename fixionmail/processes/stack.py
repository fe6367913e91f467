"""Everything on one machine: the bundled servers where none are named, and our processes on top of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fixionmail.engine import free_port
from fixionmail.errors import EngineError
from fixionmail.processes import redis
from fixionmail.processes.fleet import Fleet
from fixionmail.processes.keeper import RUNNING
from fixionmail.processes.spec import ProcessSpec, names, spec
from fixionmail.processes.supervisor import supervising
from fixionmail.settings import Settings
from fixionmail.store import embedded, migrations


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack. ``mode`` is ``queue`` or ``fallback``; ``web_url`` is None where no web service runs."""

    mode: str
    redis_url: str | None
    fleet: Fleet
    web_url: str | None = None


def fleet_of(settings: Settings) -> Fleet:
    """The fleet of these settings. Without a database in them, programs are started together with a bundled Postgres;
    the local Redis is where REDIS_URL says, when that names this machine.

    Its processes are described by this process's environment and working folder, from which ``settings`` must come.
    """

    def describe(name: str) -> ProcessSpec:
        described = spec(name, settings.home)
        url = settings.redis_url.get_secret_value() if settings.redis_url else ""
        if described.kind == "redis" and url and redis.place_of(url):
            return replace(described, environment={"REDIS_URL": url})
        return described

    is_bundled = settings.database_url is None and settings.supabase_url is None
    return Fleet(settings.home, describe=describe, beneath=("postgres",) if is_bundled else ())


@contextmanager
def running_stack(
    settings: Settings,
    *,
    copies: int = 1,
    web: bool = False,
    environment: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Iterator[Stack]:
    """Run ``copies`` of each process while inside, supervised by this process. Without REDIS_URL a bundled Valkey
    rings for them.

    Args:
        settings: what servers to use.
        copies: of each kind.
        web: in queue mode also run the web service, at PORT or, where that is taken, wherever there is room. (In
            fallback mode it would be one more of each loop.)
        environment: what the processes get; it must lead to the same settings.
        cwd: the folder they work in; ours when None.

    Raises:
        FixionMailError: a server cannot be started or used; nothing is left running.
    """
    home = settings.home
    with supervising(home):
        fleet = Fleet(home)
        servers, redis_url = _serve(fleet, settings)
        theirs = {**environment, "ENABLE_REDIS_QUEUE": "true" if redis_url else "false"}
        if redis_url:
            theirs["REDIS_URL"] = redis_url
        kinds = ("worker", "scheduler", "delivery") if redis_url else ("scheduler", "delivery")
        wanted = servers + [name for kind in kinds for name in names(kind, copies)]
        web_url = None
        if web and redis_url:
            web_url = _place_web(fleet, settings, theirs)
            wanted.append("web")
        fleet.run_exactly([spec(name, home, environment=theirs, cwd=cwd) for name in wanted])
        mode = "queue" if redis_url else "fallback"
        yield Stack(mode=mode, redis_url=redis_url, fleet=fleet, web_url=web_url)


def _serve(fleet: Fleet, settings: Settings) -> tuple[list[str], str | None]:
    """Start the bundled servers where the settings name none; their names, and where Redis is in queue mode."""
    servers = []
    if settings.database_url is None and settings.supabase_url is None:
        servers.append(_started(fleet, "postgres"))
        migrations.migrate(_found(embedded.running_url(settings.home)))
    if settings.enable_redis_queue is False:
        return servers, None
    if settings.redis_url is not None:
        return servers, settings.redis_url.get_secret_value()
    servers.append(_started(fleet, "redis"))
    return servers, _found(redis.running_url(settings.home))


def _place_web(fleet: Fleet, settings: Settings, theirs: dict[str, str]) -> str:
    """Where the web service will be; puts it into the environment of all processes."""
    port = _web_port(fleet, settings.port)
    url = f"http://localhost:{port}"
    theirs["PORT"] = str(port)
    if "app_base_url" not in settings.model_fields_set:
        theirs["APP_BASE_URL"] = url  # so that the links in mails lead there
    return url


def _web_port(fleet: Fleet, wished: int) -> int:
    """Where the web service runs already; else the wished port, or any where that one is taken."""
    running = next((look.port for look in fleet.look() if look.name == "web" and look.pid), None)
    return running or (wished if _is_free(wished) else free_port())


def _is_free(port: int) -> bool:
    """Nobody listens there, on any address."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=both).close()
    except OSError:
        return False
    return True


def _started(fleet: Fleet, server: str) -> str:
    """Start a bundled server and wait until it is up."""
    (look,) = fleet.settled(fleet.start(server), seconds=180)
    if look.state != RUNNING:
        raise EngineError(look.last_end or f"The bundled {server} does not start.")
    return server


def _found(url: str | None) -> str:
    if url is None:
        raise EngineError("A bundled server died as soon as it was up; its log says why.")
    return url
