"""Everything on one machine: the bundled servers where none are named, and our processes on top of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fixionmail.processes.redis import embedded_redis
from fixionmail.processes.spec import ProcessSpec, specs
from fixionmail.processes.supervisor import Supervisor, supervised
from fixionmail.settings import Settings
from fixionmail.store import database_url, migrations


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack. ``mode`` is ``queue`` or ``fallback``."""

    mode: str
    redis_url: str | None
    supervisor: Supervisor


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
    with ExitStack() as stack:
        database = stack.enter_context(database_url(settings))
        if database is not None and settings.database_url is None:
            migrations.migrate(database)
        redis_url = stack.enter_context(_redis(settings))
        theirs = {**environment, "ENABLE_REDIS_QUEUE": "true" if redis_url else "false"}
        if redis_url:
            theirs["REDIS_URL"] = redis_url
        supervisor = stack.enter_context(
            supervised(settings.home / "logs", theirs, cwd, _wanted(redis_url is not None, copies))
        )
        yield Stack(mode="queue" if redis_url else "fallback", redis_url=redis_url, supervisor=supervisor)


@contextmanager
def _redis(settings: Settings) -> Iterator[str | None]:
    """The Redis that is named, or a bundled one; None when queue mode is switched off."""
    if settings.enable_redis_queue is False:
        yield None
    elif settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
    else:
        with embedded_redis(settings.home) as url:
            yield url


def _wanted(queue: bool, copies: int) -> list[ProcessSpec]:
    kinds = ("worker", "scheduler", "delivery") if queue else ("scheduler", "delivery")
    return [spec for kind in kinds for spec in specs(kind, copies)]
