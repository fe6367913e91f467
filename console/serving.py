"""The same console in a browser on this machine: served on 127.0.0.1 alone, to whoever has the link's token."""

from __future__ import annotations

import hmac
import logging
import secrets
import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence

from fixionmail.errors import InputError

try:
    from aiohttp import web
    from textual_serve.server import Server
except ModuleNotFoundError:  # told when it is wanted
    raise InputError("--serve needs textual-serve: pip install 'fixionmail[browser]'.") from None

LOCALHOST = "127.0.0.1"
COOKIE = "fixionmail-console"
_POLICY = "default-src 'self' 'unsafe-inline' data:; connect-src 'self' ws://127.0.0.1:*"
"""Nothing is fetched from elsewhere."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(arguments: Sequence[str], port: int, say: Callable[[str], object]) -> None:
    """Serve until Ctrl+C. Every tab gets a console process of its own.

    Args:
        arguments: of ``fixionmail`` for that console.
        port: where to listen on 127.0.0.1.
        say: tells the link to open.
    """
    command = shlex.join([sys.executable, "-P", "-m", "cli", *arguments])
    server = GuardedServer(command, port=port)
    say(f"The console is at {server.link} until Ctrl+C. The link holds its key: keep it to yourself.")
    server.serve()


class GuardedServer(Server):
    """Lets in only who has the token, under the name it is served as; a page of another site has neither."""

    def __init__(self, command: str, *, port: int) -> None:
        super().__init__(command, host=LOCALHOST, port=port, title="FixionMail")
        self.token = secrets.token_urlsafe(24)

    @property
    def link(self) -> str:
        """The address to open."""
        return f"{self.public_url}/?token={self.token}"

    def initialize_logging(self) -> None:
        """Say nothing but what goes wrong."""
        logging.basicConfig(level=logging.ERROR)

    async def on_startup(self, app: web.Application) -> None:
        """The link has been told already."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse other names (a rebound DNS name), other origins, and who does not have the token."""
        here = f"{self.host}:{self.port}"
        if request.host != here or request.headers.get("Origin", f"http://{here}") != f"http://{here}":
            raise web.HTTPForbidden(text=f"This console is served at http://{here} only.")
        shown = request.query.get("token") or request.cookies.get(COOKIE, "")
        if not hmac.compare_digest(shown.encode(), self.token.encode()):
            raise web.HTTPForbidden(text="Open the link that fixionmail console --serve has told.")
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = _POLICY
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict")
        return response
