"""The pages that readers see. They work without scripts, and say nothing of who the reader is."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from jinja2 import Template


def ask() -> HTMLResponse:
    """Asks whether to unsubscribe."""
    return _page(
        200,
        "Stop your stories?",
        "You will get no more stories by e-mail from FixionMail.",
        button="Unsubscribe",
    )


def done() -> HTMLResponse:
    """Says that it is done."""
    return _page(200, "You are unsubscribed", "No more stories will be sent to you. You can close this page.")


def unknown() -> HTMLResponse:
    """Says that the link is not one of ours."""
    return _page(404, "This link does not work", "Please use the link at the end of a story that you got.")


def not_now() -> HTMLResponse:
    """Says that it could not be done, and what to do."""
    page = _page(503, "This did not work just now", "Please try the same link again in a minute.")
    page.headers["retry-after"] = "30"
    return page


def too_often() -> HTMLResponse:
    """Asks for patience."""
    page = _page(429, "Too many requests", "Please try the same link again in a minute.")
    page.headers["retry-after"] = "30"
    return page


def _page(status: int, title: str, text: str, *, button: str = "") -> HTMLResponse:
    html = _template().render(title=title, text=text, button=button, style=_style())
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    return HTMLResponse(html, status, {"content-security-policy": policy})


@cache
def _style() -> str:
    return (files("fixionmail.web") / "templates" / "page.css").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fixionmail.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html")
