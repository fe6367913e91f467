"""What every request passes before anything of ours sees it: host, size, time; and what every answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_HEAD_BYTES = 16 * 1024
MOST_BODY_BYTES = 256 * 1024
MOST_DISCARDED_BYTES = 16 * 1024 * 1024
"""So much of a body that is too large is read and thrown away, so that the client hears why it is refused."""
BODY_SECONDS = 15.0
"""How long a client may take between two pieces of its body."""
ANY_HOST = ("/healthz", "/readyz", "/metrics")
"""What probes inside the platform ask for, by whatever name they know us."""

_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "interest-cohort=()",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}


class Guard:
    """ASGI middleware.

    Args:
        app: what is guarded.
        hosts: the names under which it may be asked for, in lower case, without port.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None:
            with suppress(ClientDisconnect):  # nobody is there to be answered, and nothing was taken in
                await self._app(scope, _limited(receive), _with_headers(send))
            return
        await _discard(receive)
        await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if _head_bytes(scope) > MOST_HEAD_BYTES:
            return JSONResponse({"error": "the head of the request is too large"}, 431)
        if scope["path"] not in ANY_HOST and _host(headers) not in self._hosts:
            return JSONResponse({"error": "this server does not answer for that host"}, 421)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > MOST_BODY_BYTES:
            return JSONResponse({"error": "the request is too large"}, 413, {"connection": "close"})
        return None


def _head_bytes(scope: Scope) -> int:
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return len(scope["raw_path"]) + len(scope["query_string"]) + fields


def _host(headers: Headers) -> str:
    """The name in the Host header: without port, in lower case."""
    host = headers.get("host", "").lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _limited(receive: Receive) -> Receive:
    """``receive``, which ends a body that is too large or too slow."""
    received = 0

    async def receive_within_limits() -> Message:
        nonlocal received
        try:
            message = await asyncio.wait_for(receive(), BODY_SECONDS)
        except TimeoutError:
            raise HTTPException(408, "the request took too long") from None
        received += len(message.get("body", b""))
        if received > MOST_BODY_BYTES:
            await _discard(receive)
            raise HTTPException(413, "the request is too large")
        return message

    return receive_within_limits


async def _discard(receive: Receive) -> None:
    """Read what is left of a body, within limits, and forget it."""
    discarded = 0
    with suppress(TimeoutError):
        while discarded < MOST_DISCARDED_BYTES:
            message = await asyncio.wait_for(receive(), BODY_SECONDS)
            discarded += len(message.get("body", b""))
            if not message.get("more_body"):
                return


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
