"""What actions work with: the deployment's Redis, database and processes, each opened when it is first needed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from fixionmail.errors import FixionMailError, InputError, RedisUnreachableError
from fixionmail.jobs.operating.hand import RedisHand
from fixionmail.jobs.worker.keys import PREFIX
from fixionmail.ops.connection import in_words
from fixionmail.ops.target import redis_url_of
from fixionmail.settings import Settings
from fixionmail.store import Store
from fixionmail.subscribers.service import Operator

if TYPE_CHECKING:
    from fixionmail.processes.fleet import Fleet


_log = structlog.get_logger("fixionmail.actions")


class Hands:
    """A deployment that can be changed.

    Args:
        redis_url: The Redis, or None.
        store: Opens or gives the database; None for a Redis alone.
        settings: Of this deployment; None for a Redis alone.
        prefix: What RQ's keys begin with.
        read_only: Refuse every change.
    """

    def __init__(
        self,
        *,
        redis_url: str | None,
        store: Callable[[], Store] | None = None,
        settings: Settings | None = None,
        prefix: str = PREFIX,
        read_only: bool = False,
    ) -> None:
        self.read_only = read_only
        self._redis_url = redis_url
        self._prefix = prefix
        self._store = store
        self._settings = settings
        self._redis: RedisHand | None = None
        self._fleet: Fleet | None = None

    @property
    def redis_url(self) -> str | None:
        """The Redis; where none is named, this home's own one once it has been started."""
        if self._redis_url is None and self._settings is not None:
            self._redis_url = redis_url_of(self._settings)
        return self._redis_url

    @property
    def redis(self) -> RedisHand:
        """Raises InputError when no Redis is used."""
        if self._redis is None and self.redis_url is not None:
            self._redis = RedisHand(self.redis_url, prefix=self._prefix)
        if self._redis is None:
            raise InputError("There is no Redis to change: set REDIS_URL, or name one with --redis-url.")
        return self._redis

    @property
    def has_database(self) -> bool:
        """A database belongs to the deployment."""
        return self._store is not None

    @property
    def store(self) -> Store:
        """Raises InputError when only a Redis is known, and whatever opening the database raises."""
        if self._store is None:
            raise InputError("No database is set: only Redis can be changed.")
        return self._store()

    @property
    def settings(self) -> Settings:
        """Raises InputError when only a Redis is known."""
        if self._settings is None:
            raise InputError("Only a Redis is known here: this needs the settings of FixionMail.")
        return self._settings

    @property
    def fleet(self) -> Fleet:
        """The processes of this machine."""
        if self._fleet is None:
            from fixionmail.processes.stack import fleet_of

            self._fleet = fleet_of(self.settings)
        return self._fleet

    def call(self, change: Callable[[], Any]) -> Any:
        """Do something to Redis, with its errors in words.

        Raises:
            RedisUnreachableError: it cannot be changed now, and why.
        """
        try:
            return change()
        except (RedisError, OSError) as error:
            raise RedisUnreachableError(in_words(error, self.redis_url or "")) from None

    def record(
        self, *, operator: Operator, action: str, target: str, reason: str, result: Mapping[str, Any]
    ) -> None:
        """Put an action on record: in the database, or in a file of this machine when there is none or it is away."""
        if self._store is not None:
            with suppress(FixionMailError):
                self._store().operations.record_audit(
                    actor=operator.name,
                    host=operator.host,
                    action=action,
                    target=target,
                    reason=reason,
                    result=result,
                )
                return
        row = {
            "at": datetime.now(UTC).isoformat(),
            "actor": operator.name,
            "host": operator.host,
            "action": action,
            "target": target,
            "reason": reason,
            "result": result,
        }
        path = self.audit_file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:  # what was done is done, and its outcome is what the operator must see
            _log.error("an action could not be put on record", file=str(path), problem=str(error), **row)

    @property
    def audit_file(self) -> Path:
        """Where actions are put on record without a database."""
        if self._settings is not None:
            return self._settings.home / "audit.jsonl"
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        return Path(state) / "fixionmail" / "audit.jsonl"

    def close(self) -> None:
        """Close what was opened here."""
        if self._redis is not None:
            self._redis.close()
