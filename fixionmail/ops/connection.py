"""How the operations reach Redis: read-only scripts, few commands, short patience, and errors in words."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from fixionmail.errors import RedisUnreachableError
from fixionmail.jobs.operating.connection import connect_operator
from fixionmail.jobs.worker.scripts import Argument, Script, command
from fixionmail.settings import MASK, masked_url

CONNECT_SECONDS = 2.0
REPLY_SECONDS = 3.0
_TLS_ALERT = r'"\x15"'
"""So the parser names the byte with which a server with TLS may answer a client without it (RFC 8446, 5.1)."""


def load_script(*names: str) -> Script:
    """A read-only script made of the files ``lua/<name>.lua``, behind what all of them share."""
    folder = resources.files(__package__) / "lua"
    return Script(
        source="\n".join(
            (folder / f"{name}.lua").read_text("utf-8") for name in ("reading", "limits", *names)
        )
    )


class RedisReader:
    """Reads one Redis. The server itself refuses a write by these scripts where it knows read-only ones (7.0 on).

    It connects when it is first asked, keeps the connection, and may be used by several threads.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        prefix: What RQ's keys begin with.
        reply_seconds: How long to wait for an answer to begin or go on; it must be whole after twice as long.
    """

    def __init__(self, url: str, *, prefix: str = "rq", reply_seconds: float = REPLY_SECONDS) -> None:
        self.prefix = prefix
        self.place = place_of(url)
        self.commands = 0
        """Commands sent so far; what connecting costs is not among them."""
        self._url = url
        self._redis = connect_operator(url, reply_timeout=reply_seconds, connect_timeout=CONNECT_SECONDS)
        self._eval = "EVAL_RO"

    def run(self, script: Script, arguments: Sequence[Argument] = ()) -> Any:
        """Run a script, which gets the prefix before its arguments; one command, two when it is new to the server.

        Raises:
            RedisUnreachableError: with the reason in words.
        """
        try:
            return self._run(script, (self.prefix, *arguments))
        except (RedisError, OSError, ValueError) as error:
            raise RedisUnreachableError(in_words(error, self._url)) from None

    def clients(self) -> list[dict[str, str]]:
        """Who is connected: what the server says of each connection, by its own names; one command.

        Raises:
            RedisUnreachableError: with the reason in words.
        """
        try:
            text = bytes(self._send("CLIENT", "LIST")).decode("utf-8", "replace")
        except (RedisError, OSError, ValueError, TypeError) as error:
            raise RedisUnreachableError(in_words(error, self._url)) from None
        return [dict(word.partition("=")[::2] for word in line.split()) for line in text.splitlines()]

    def _run(self, script: Script, arguments: Sequence[Argument]) -> Any:
        try:
            return self._send(self._eval.replace("EVAL", "EVALSHA"), script.digest, 0, *arguments)
        except NoScriptError:
            return self._send(self._eval, script.source, 0, *arguments)
        except ResponseError as error:
            if self._eval == "EVAL" or "unknown command" not in str(error).lower():
                raise
            self._eval = "EVAL"  # a server older than 7.0
            return self._run(script, arguments)

    def _send(self, *words: Argument) -> Any:
        self.commands += 1
        return command(self._redis, *words)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def place_of(url: str) -> str:
    """``host:port/db`` of a Redis URL, or its socket: what people may see of it."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    try:
        port = parts.port or 6379
    except ValueError:
        return masked_url(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "localhost"
    return f"{host}:{port}/{parts.path.strip('/') or 0}"


def in_words(error: Exception, url: str) -> str:
    """Why Redis at ``url`` cannot be read, in one line and without its password."""
    place = place_of(url)
    text = " ".join(str(error).split())
    if secret := urlsplit(url).password:
        text = text.replace(secret, MASK)
    match error:
        case AuthenticationError() | AuthenticationWrongNumberOfArgsError():
            return f"Redis at {place} refuses the user or password of its URL."
        case NoPermissionError():
            return f"Redis at {place} does not permit this user to look: {text}."
        case RedisTimeoutError() | TimeoutError():
            tls = " A server without TLS is reached with redis://." if url.startswith("rediss:") else ""
            return f"Redis at {place} does not answer in time.{tls}"
        case InvalidResponse():
            return (
                _closed(place)
                if _TLS_ALERT in text
                else f"What listens at {place} does not answer as a Redis does."
            )
        case ResponseError():
            return _refusal(text, place)
        case _:
            return _no_connection(error, text, place, tls=url.startswith("rediss:"))


def _refusal(text: str, place: str) -> str:
    lowered = text.lower()
    if "noauth" in lowered or "wrongpass" in lowered or "invalid username" in lowered:
        return f"Redis at {place} asks for a password: the URL has none, or a wrong one."
    if "unknown command" in lowered or "not allowed" in lowered:
        return f"Redis at {place} forbids the scripts that a look needs: {text}."
    return f"Redis at {place} answers with an error: {text}."


def _no_connection(error: Exception, text: str, place: str, *, tls: bool) -> str:
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ConnectionRefusedError) or "refused" in text.lower():
        return f"Nothing listens at {place}: the connection is refused."
    if isinstance(cause, ssl.SSLError) or "ssl" in text.lower():
        return f"TLS with {place} fails: {text}. A server without TLS is reached with redis:// instead of rediss://."
    if not tls and any(words in text.lower() for words in ("closed by server", "reset by peer")):
        return _closed(place)
    return f"Redis at {place} cannot be reached: {text}."


def _closed(place: str) -> str:
    return f"{place} closed the connection. A server with TLS is reached with rediss:// instead of redis://."
