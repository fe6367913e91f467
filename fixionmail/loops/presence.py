"""A process's sign of life in the database: who it is, that it is there, and that it has left."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog

from fixionmail import __version__
from fixionmail.errors import FixionMailError
from fixionmail.store.leases import Leases

HEARTBEAT_SECONDS = 30.0

_log = structlog.get_logger("fixionmail.presence")


class Presence:
    """This process, or a part of it, under a name that nobody ever had. A database that is away only costs a warning.

    Args:
        leases: where it reports.
        kind: ``worker``, ``scheduler``, ``delivery`` or ``web``.
    """

    def __init__(self, leases: Leases, kind: str) -> None:
        self._leases = leases
        self._kind = kind
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._started_at = datetime.now(UTC)
        self.process = f"{kind}@{self._host}:{self._pid}:{uuid4().hex[:6]}"

    def beat(self, info: Mapping[str, Any]) -> None:
        """Say that it is there, and how it is."""
        try:
            self._leases.heartbeat(
                process=self.process,
                kind=self._kind,
                host=self._host,
                pid=self._pid,
                version=__version__,
                started_at=self._started_at,
                info=info,
            )
        except FixionMailError as error:
            _log.warning("the database does not take the heartbeat", kind=self._kind, reason=str(error))

    def sign_off(self) -> None:
        """Say that it leaves on purpose."""
        try:
            self._leases.forget_process(self.process)
        except FixionMailError as error:
            _log.warning("could not sign off", kind=self._kind, reason=str(error))


@contextmanager
def present(leases: Leases, kind: str, info: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Report every thirty seconds while inside, from a thread of its own, and sign off at the end."""
    presence = Presence(leases, kind)
    ended = threading.Event()

    def keep_beating() -> None:
        presence.beat(info())
        while not ended.wait(HEARTBEAT_SECONDS):
            presence.beat(info())

    thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        presence.sign_off()
