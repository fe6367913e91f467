"""The Lua scripts beside this file, run by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, cast

from redis import Redis
from redis.exceptions import NoScriptError

Argument = str | bytes | int | float


@dataclass(frozen=True, kw_only=True)
class Script:
    """A Lua script; it takes no keys, as it makes their names from the prefix (so no Redis Cluster)."""

    source: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha1(self.source.encode()).hexdigest())


def _load(name: str) -> Script:
    folder = resources.files(__package__) / "lua"
    return Script(source="\n".join((folder / f"{part}.lua").read_text("utf-8") for part in ("common", name)))


CLAIM = _load("claim")
FINISH = _load("finish")
HEARTBEAT = _load("heartbeat")
ADOPT = _load("adopt")
ENQUEUE = _load("enqueue")


def command(client: Redis, *arguments: Argument) -> Any:
    """Send one command as it stands (redis-py leaves this method without types)."""
    return cast(Any, client).execute_command(*arguments)


def run(client: Redis, script: Script, arguments: Sequence[Argument]) -> Any:
    """Run a script and return its reply; a server that does not know it is taught it."""
    try:
        return command(client, "EVALSHA", script.digest, 0, *arguments)
    except NoScriptError:
        return command(client, "EVAL", script.source, 0, *arguments)


def run_together(client: Redis, calls: Sequence[tuple[Script, Sequence[Argument]]]) -> list[Any]:
    """Run scripts in one round trip; a reply may be the ``ResponseError`` of that one script."""
    pipeline = client.pipeline(transaction=False)
    for script, arguments in calls:
        command(pipeline, "EVALSHA", script.digest, 0, *arguments)
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    for position, reply in enumerate(replies):
        if isinstance(reply, NoScriptError):
            script, arguments = calls[position]
            replies[position] = command(client, "EVAL", script.source, 0, *arguments)
    return replies
