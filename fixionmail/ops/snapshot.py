"""One look at a deployment: one Redis command and one database call, at the same time, nothing written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import ExitStack, suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fixionmail.errors import FixionMailError, InputError
from fixionmail.jobs.names import QUEUES
from fixionmail.jobs.worker.keys import PREFIX
from fixionmail.ops import redis_look
from fixionmail.ops.connection import RedisReader
from fixionmail.ops.target import redis_url_of, target_of
from fixionmail.ops.views.section import Section
from fixionmail.ops.views.snapshot import CostView, Snapshot
from fixionmail.settings import Settings
from fixionmail.store import Store, open_store, require_running
from fixionmail.store.transport import Transport

if TYPE_CHECKING:
    from fixionmail.ops.database_look import DatabaseLook

PATIENCE_SECONDS = 5.0
"""How long a look waits for one half; what comes later counts for the next look."""
MONTH_SECONDS = 30 * 86_400

T = TypeVar("T")


_FROM_DATABASE = ("mode", "loops", "processes", "funnel", "deliveries", "database")
_FROM_REDIS = tuple(field.name for field in fields(redis_look.RedisLook))


class Observer:
    """Looks at one deployment, again and again. Connects when first asked, and keeps its connections.

    It may be used by several threads; a look that is still under way when the next begins is not begun twice.

    Args:
        redis_url: The Redis, or None in fallback mode.
        settings: Names the database; None for a Redis alone.
        prefix: What RQ's keys begin with.
        read_only: Said in the target: no changes are to be offered.
        store: The database, where it is open already; otherwise it is opened when it is first asked for.
    """

    def __init__(
        self,
        *,
        redis_url: str | None,
        settings: Settings | None = None,
        prefix: str = PREFIX,
        read_only: bool = False,
        store: Store | None = None,
    ) -> None:
        self.target = target_of(settings, redis_url, prefix=prefix, read_only=read_only)
        self._settings = settings
        self._reader = RedisReader(redis_url, prefix=prefix) if redis_url else None
        self._stack = ExitStack()
        self._calls: _Counting | None = _Counting(store.transport) if store else None
        self._opened: Store | None = _asked_once(self._calls) if self._calls else None
        self._opening = threading.Lock()
        self._redis_half: _Half[redis_look.RedisLook] = _Half("look-redis", self._read_redis)
        self._database_half: _Half[DatabaseLook] = _Half("look-database", self._read_database)

    @property
    def reader(self) -> RedisReader:
        """For pages, searches and audits.

        Raises:
            InputError: there is no Redis.
        """
        if self._reader is None:
            raise InputError("There is no Redis to look at: set REDIS_URL, or name one with --redis-url.")
        return self._reader

    @property
    def settings(self) -> Settings | None:
        """Of the deployment; None when a Redis alone is looked at."""
        return self._settings

    @property
    def has_database(self) -> bool:
        """A database belongs to what is looked at."""
        return self._settings is not None

    def store(self) -> Store:
        """The database, opened when it is first asked for; errors are those of ``open_store``.

        Raises:
            InputError: only a Redis is looked at.
            UnreachableError: the bundled Postgres does not run; looking does not start it.
        """
        if self._settings is None:
            raise InputError("No database is set: only Redis is looked at.")
        with self._opening:
            if self._opened is None:
                self._opened = self._open(self._settings)
            return self._opened

    def _open(self, settings: Settings) -> Store:
        require_running(settings)
        opened = self._stack.enter_context(open_store(settings, max_connections=2))
        self._calls = _Counting(opened.transport)
        return _asked_once(self._calls)

    def look(self, *, every_seconds: float | None = None) -> Snapshot:
        """Take a look. What does not answer is part of the picture; nothing raises.

        Args:
            every_seconds: the pace of looking, for what it costs in a month.
        """
        began = time.perf_counter()
        self._find_redis()
        sent, called = self._counts()
        halves = self._start()
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        parts = {name: section for half in halves for name, section in half(give_up_at).items()}
        sent_then, called_then = self._counts()
        commands = sent_then - sent
        return Snapshot(
            taken_at=datetime.now(UTC),
            target=self.target,
            cost=CostView(
                redis_commands=commands,
                database_calls=called_then - called,
                seconds=time.perf_counter() - began,
                commands_per_month=int(commands * MONTH_SECONDS / every_seconds) if every_seconds else 0,
            ),
            **parts,
        )

    def _find_redis(self) -> None:
        """Where none is named, this home's own one may have been started since the last look."""
        if self._reader is None and self._settings is not None:
            with suppress(FixionMailError):  # a setting that cannot be used is told of where it is used
                url = redis_url_of(self._settings)
                if url is not None:
                    before = self.target
                    self._reader = RedisReader(url, prefix=before.key_prefix)
                    self.target = target_of(
                        self._settings, url, prefix=before.key_prefix, read_only=before.read_only
                    )

    def _counts(self) -> tuple[int, int]:
        """Redis commands and database calls so far."""
        return (self._reader.commands if self._reader else 0, self._calls.calls if self._calls else 0)

    def _start(self) -> list[Callable[[float], dict[str, Section[Any]]]]:
        """Begin both halves; each is then waited for."""
        starts: list[Callable[[float], dict[str, Section[Any]]]] = []
        if self._reader is None:
            starts.append(lambda _: _all(_FROM_REDIS, Section(absent="No Redis is used: fallback mode.")))
        else:
            self._redis_half.begin()
            starts.append(lambda until: self._redis_half.sections(until, _FROM_REDIS))
        if self._settings is None:
            starts.append(lambda _: _all(_FROM_DATABASE, Section(absent="No database is set.")))
        else:
            self._database_half.begin()
            starts.append(lambda until: self._database_half.sections(until, _FROM_DATABASE))
        return starts

    def _read_redis(self) -> redis_look.RedisLook:
        return redis_look.look(self.reader, QUEUES if self._settings else ())

    def _read_database(self) -> DatabaseLook:
        from fixionmail.ops import database_look  # a Redis alone is shown sooner without it

        assert self._settings is not None
        lead = timedelta(minutes=self._settings.generation_lead_minutes)
        return database_look.look(self.store(), datetime.now(UTC), lead=lead)

    def close(self) -> None:
        """Give back all connections."""
        if self._reader is not None:
            self._reader.close()
        self._stack.close()


def _asked_once(transport: Transport) -> Store:
    """A store that does not try again: the next look does."""
    return Store.over(transport, patience_seconds=0.0)


class _Counting:
    """A road to the database that counts its calls."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.name = inner.name
        self.calls = 0

    def call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        self.calls += 1
        return self._inner.call(function, arguments)

    def close(self) -> None:
        self._inner.close()


class _Half(Generic[T]):
    """One source of a look, read in a thread of its own, by one thread at a time."""

    def __init__(self, name: str, read: Callable[[], T]) -> None:
        self._name = name
        self._read = read
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None
        self._began = 0.0

    def begin(self) -> None:
        """Start reading, unless the last reading is still under way."""
        with self._lock:
            if self._answer is not None and not self._answer.done():
                return
            self._answer = Future()
            self._began = time.monotonic()
            threading.Thread(target=self._run, args=(self._answer,), name=self._name, daemon=True).start()

    def _run(self, answer: Future[T]) -> None:
        try:
            answer.set_result(self._read())
        except Exception as error:  # a section of a snapshot: whatever goes wrong is part of the picture
            answer.set_exception(error)

    def sections(self, until: float, names: tuple[str, ...]) -> dict[str, Section[Any]]:
        """What was read, by the names of its parts, or why it was not."""
        with self._lock:
            answer, began = self._answer, self._began
        assert answer is not None
        try:
            seen = answer.result(max(0.0, until - time.monotonic()))
        except NotYet:
            waited = time.monotonic() - began
            return _all(names, Section(error=f"No answer for {waited:.0f} seconds."))
        except FixionMailError as error:
            return _all(names, Section(error=" ".join(str(error).split()), error_type=type(error).__name__))
        except Exception as error:
            return _all(names, Section(error=f"The look itself failed: {type(error).__name__}."))
        return {name: Section(value=getattr(seen, name)) for name in names}


def _all(names: tuple[str, ...], section: Section[Any]) -> dict[str, Section[Any]]:
    return dict.fromkeys(names, section)
