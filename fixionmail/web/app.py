"""The web service as an application: what it answers, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Match

from fixionmail import __version__
from fixionmail.errors import FixionMailError, InputError, UnreachableError
from fixionmail.ops.metrics import prometheus_text
from fixionmail.ops.views.snapshot import Snapshot
from fixionmail.store import Store
from fixionmail.web import pages
from fixionmail.web.cached import Cached
from fixionmail.web.guard import Guard
from fixionmail.web.rates import Rates
from fixionmail.web.report import report
from fixionmail.web.threads import Threads
from fixionmail.web.webhooks import ForgedError, Signatures, event_of

STATUS_SECONDS = 5.0
READY_SECONDS = 2.0
UNSUBSCRIBE_SECONDS = 0.1
"""No answer about a token comes sooner: its time tells nothing of the token."""
LONGEST_TOKEN = 200
_FORMS = ("", "application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the application works with.

    Args:
        base_url: the public address (APP_BASE_URL).
        store: the database, with little patience.
        look: takes a look at the deployment; raises FixionMailError when the database does not answer.
        check: returns when this process can do its job, raises FixionMailError otherwise.
        signatures: of the provider's events; None when there is no secret to check them by.
        threads: where the calls run.
        unsubscribe_rates: how often one client may ask for a token.
    """

    base_url: str
    store: Store
    look: Callable[[], Snapshot]
    check: Callable[[], None]
    signatures: Signatures | None
    threads: Threads
    unsubscribe_rates: Rates


def create_app(site: Site) -> FastAPI:
    """The application. It describes itself to nobody: no documentation page, no ``openapi.json``."""
    app = FastAPI(
        title="FixionMail", version=__version__, openapi_url=None, docs_url=None, redoc_url=None, debug=False
    )
    _add_probes(app, site)
    _add_webhook(app, site)
    _add_unsubscribe(app, site)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(FixionMailError, _on_error)
    app.add_middleware(Guard, hosts=_hosts(site.base_url))
    return app


def _hosts(base_url: str) -> set[str]:
    """Our public name; this machine's own names for whoever stands on it."""
    return {(urlsplit(base_url).hostname or "").lower(), "localhost", "127.0.0.1", "[::1]"}


def _add_probes(app: FastAPI, site: Site) -> None:
    looked = Cached(site.look, site.threads, seconds=STATUS_SECONDS)
    ready = Cached(site.check, site.threads, seconds=READY_SECONDS)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> Response:
        """The process is alive."""
        return PlainTextResponse("ok")

    @app.get("/readyz", responses={503: _json("it cannot do its job")})
    async def readyz() -> Response:
        """It can do its job: the database answers and is up to date."""
        seen = await ready.get()
        is_ready = seen is not None and not seen.failing
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @app.get("/api/status", responses={503: _json("nothing is known")})
    async def api_status() -> Response:
        """The deployment in numbers, at most five seconds old while all is well."""
        code, body = report(await looked.get())
        return JSONResponse(body, code)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """The same for Prometheus; ``fixionmail_up`` is 0 and alone while nothing is known."""
        seen = await looked.get()
        text = prometheus_text(None if seen is None or seen.failing else seen.value)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_webhook(app: FastAPI, site: Site) -> None:
    codes = {
        400: "signed, and not JSON",
        401: "not signed by the provider just now",
        413: "too large",
        415: "not JSON",
        503: "try again",
    }

    @app.post(
        "/webhooks/resend",
        responses={code: _json(text) for code, text in codes.items()},
        openapi_extra=_body("application/json", {"type": "object"}),
    )
    async def resend(request: Request) -> Response:
        """Take in one event of the mail provider; the same event any number of times, in any order."""
        if _content_type(request) != "application/json":
            raise HTTPException(415, "the body must be application/json")
        if site.signatures is None:
            raise HTTPException(503, "no secret is set to check events by")
        body = await request.body()
        try:
            event = event_of(site.signatures.check(request.headers, body), body)
        except ForgedError:
            raise HTTPException(401, "the signature does not fit") from None
        except InputError:
            raise HTTPException(400, "the body is not JSON") from None
        if event is None:
            return JSONResponse({"verdict": "ignored"})
        return JSONResponse({"verdict": await site.threads.run(site.store.incoming.record_event, event)})


def _add_unsubscribe(app: FastAPI, site: Site) -> None:
    codes = {404: "no such token", 429: "too many requests", 503: "try again"}
    answers: dict[int | str, dict[str, Any]] = {code: _html(text) for code, text in codes.items()}

    async def answer(
        request: Request, token: str, call: Callable[[str], str | None], found: Response
    ) -> Response:
        if not site.unsubscribe_rates.allow(request.client.host if request.client else ""):
            return pages.too_often()
        ends_at = asyncio.get_running_loop().time() + UNSUBSCRIBE_SECONDS
        try:
            verdict = await site.threads.run(call, token[:LONGEST_TOKEN])
            page = pages.unknown() if verdict in (None, "unknown") else found
        except UnreachableError:
            page = pages.not_now()
        await asyncio.sleep(ends_at - asyncio.get_running_loop().time())
        return page

    @app.get("/unsubscribe/{token}", response_class=HTMLResponse, responses=answers)
    async def ask(request: Request, token: str) -> Response:
        """A page that asks; nothing is changed, whoever opens the link."""
        return await answer(request, token, site.store.incoming.subscriber_status, pages.ask())

    @app.post(
        "/unsubscribe/{token}", response_class=HTMLResponse, responses={**answers, 415: _json("no form")}
    )
    async def unsubscribe(request: Request, token: str) -> Response:
        """Unsubscribe, by a mail client's one click (RFC 8058) or by the page's button."""
        if _content_type(request) not in _FORMS:
            raise HTTPException(415, "the body must be a form")
        await request.body()
        return await answer(request, token, site.store.incoming.unsubscribe, pages.done())


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the router and we refuse, in one shape."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["allow"] = ", ".join(sorted(_methods(request)))
    return JSONResponse({"error": str(error.detail).lower()}, error.status_code, headers)


def _methods(request: Request) -> set[str]:
    """Those that this path has."""
    fitting = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in fitting for method in route.methods}


async def _on_error(request: Request, error: Exception) -> Response:
    """What goes wrong behind us: said without a word of what it is."""
    if isinstance(error, UnreachableError):
        return JSONResponse({"error": "try again later"}, 503, {"retry-after": "5"})
    return JSONResponse({"error": "this did not work"}, 500)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _json(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {}}}


def _html(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"text/html": {}}}


def _body(content_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A body that is read raw, for the description."""
    return {"requestBody": {"required": True, "content": {content_type: {"schema": schema}}}}
