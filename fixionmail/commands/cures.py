"""How commands show what mends a trouble: in words, with what is to be typed for it."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fixionmail.commands.output import clean

if TYPE_CHECKING:
    from fixionmail.ops.views.findings import Cure

_RQS_PREFIX = "rq"
_ON_ANY_REDIS = re.compile(r"fixionmail (?:jobs|queues|workers) \w+")


def cure_line(cure: Cure, *, same: str = "") -> str:
    """A cure on one line: its label, the command to copy, and what happens by itself.

    ``same``: options that make a command act on the Redis that was looked at, see :func:`same_redis`.
    """
    from fixionmail.ops.actions import unnamed

    command = _typed(cure, same)
    words = f"{cure.label}: {command}" if command else cure.label
    if left := unnamed(cure):
        words += f" (and the same for {left:,} more)"
    return clean(f"{words} ({cure.automatic})" if cure.automatic else words)


def cure_json(cure: Cure, *, same: str = "") -> dict[str, Any]:
    """A cure for scripts, with the same command."""
    return {**asdict(cure), "command": _typed(cure, same)}


def same_redis(redis_url: str | None, prefix: str) -> str:
    """The options by which a command reaches the Redis that was named, without its password; empty for our own."""
    from fixionmail.settings import masked_url, to_type

    options = []
    if redis_url is not None:
        options.append(f"--redis-url {shlex.quote(to_type(masked_url(redis_url)))}")
    if prefix != _RQS_PREFIX:
        options.append(f"--key-prefix {shlex.quote(prefix)}")
    return " ".join(options)


def _typed(cure: Cure, same: str) -> str:
    from fixionmail.ops.actions import command_of

    command = command_of(cure)
    begin = _ON_ANY_REDIS.match(command) if same else None
    return f"{begin[0]} {same}{command[begin.end() :]}" if begin else command
