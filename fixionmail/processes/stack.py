"""Everything on one machine: the bundled servers where none are named, and our processes on top of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from fixionmail.errors import EngineError
from fixionmail.processes import redis
from fixionmail.processes.spec import ProcessSpec, specs
from fixionmail.processes.supervisor import Supervisor, supervised
from fixionmail.settings import Settings
from fixionmail.store import embedded, migrations

_log = structlog.get_logger("fixionmail.stack")


@dataclass(frozen=True, kw_only=True)
class _Bundled:
    """A bundled server: its URL when it is up, and how to use it."""

    name: str
    running_url: Callable[[Path], str | None]
    use: Callable[[Path], AbstractContextManager[str]]


_POSTGRES = _Bundled(name="Postgres", running_url=embedded.running_url, use=embedded.embedded_postgres)
_REDIS = _Bundled(name="Redis", running_url=redis.running_url, use=redis.embedded_redis)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack. ``mode`` is ``queue`` or ``fallback``."""

    mode: str
    redis_url: str | None
    supervisor: Supervisor
    home: Path
    bundled: tuple[_Bundled, ...]
    exits: ExitStack

    def tend(self) -> None:
        """Start again what has died: the bundled servers, then our processes. To be called every few seconds."""
        for server in self.bundled:
            try:
                if server.running_url(self.home) is None:
                    _log.warning("a bundled server died and is started again", server=server.name)
                    self.exits.enter_context(server.use(self.home))
            except EngineError as error:
                _log.error("a bundled server cannot be started", server=server.name, reason=str(error))
        self.supervisor.tend()


@contextmanager
def running_stack(
    settings: Settings,
    *,
    copies: int = 1,
    environment: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Iterator[Stack]:
    """Run ``copies`` of each process while inside. Without REDIS_URL a bundled Valkey rings for them.

    Args:
        settings: what servers to use.
        copies: of each kind.
        environment: what the processes get; it must lead to the same settings.
        cwd: the folder they work in; ours when None.

    Raises:
        FixionMailError: a server cannot be started or used; nothing is left running.
    """
    with ExitStack() as exits:
        bundled = []
        if settings.database_url is None and settings.supabase_url is None:
            bundled.append(_POSTGRES)
            migrations.migrate(exits.enter_context(_POSTGRES.use(settings.home)))
        redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        if settings.enable_redis_queue is False:
            redis_url = None
        elif redis_url is None:
            bundled.append(_REDIS)
            redis_url = exits.enter_context(_REDIS.use(settings.home))
        theirs = {**environment, "ENABLE_REDIS_QUEUE": "true" if redis_url else "false"}
        if redis_url:
            theirs["REDIS_URL"] = redis_url
        supervisor = exits.enter_context(
            supervised(settings.home / "logs", theirs, cwd, _wanted(redis_url is not None, copies))
        )
        yield Stack(
            mode="queue" if redis_url else "fallback",
            redis_url=redis_url,
            supervisor=supervisor,
            home=settings.home,
            bundled=tuple(bundled),
            exits=exits,
        )


def _wanted(queue: bool, copies: int) -> list[ProcessSpec]:
    kinds = ("worker", "scheduler", "delivery") if queue else ("scheduler", "delivery")
    return [spec for kind in kinds for spec in specs(kind, copies)]
