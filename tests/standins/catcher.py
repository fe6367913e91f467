"""Catches the mail of a deployment that is only played with: the Resend stand-in, and a page that shows what came.

``compose.yaml`` runs it. Started by hand, it is at http://localhost:8025, and events go to the web service::

    python -m tests.standins.catcher --webhook-url http://localhost:8080/webhooks/resend
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from tests.standins.resend import ResendStandIn
from tests.standins.resend_ledger import Ledger, Mail
from tests.standins.resend_webhooks import WebhookPlan
from tests.standins.server import Reply, Request, wait_for_signal

MOST_SHOWN = 500
_MAIL = "/mails/"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;margin:2rem}}td{{padding:.2rem 1.5rem .2rem 0}}</style>
<h1>{title}</h1><table>{rows}</table></html>"""


class Catcher(ResendStandIn):
    """The stand-in, with a page of the mails at ``/`` and each of them under ``/mails/``."""

    def _answer(self, request: Request) -> Reply:
        if request.method == "GET" and (request.path == "/" or request.path.startswith(_MAIL)):
            return _shown(self.ledger, request.path)
        return super()._answer(request)


def _shown(ledger: Ledger, path: str) -> Reply:
    if path == "/":
        return _html(200, _list(ledger.mails()))
    mail = ledger.get(path.removeprefix(_MAIL))
    if mail is None:
        return _html(404, "There is no such mail.")
    return _html(200, mail.html or f"<pre>{escape(mail.text or '')}</pre>")


def _html(status: int, page: str) -> Reply:
    """A page in which nothing runs: what is shown was written by strangers."""
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "sandbox; script-src 'none'",
    }
    return Reply(status=status, body=page.encode(), headers=headers)


def _list(mails: list[Mail]) -> str:
    """The newest first."""
    rows = "".join(_rows(mails[: -MOST_SHOWN - 1 : -1]))
    return _PAGE.format(title="1 mail" if len(mails) == 1 else f"{len(mails)} mails", rows=rows)


def _rows(mails: Iterable[Mail]) -> Iterable[str]:
    for mail in mails:
        at = f"{datetime.fromtimestamp(mail.at, UTC):%Y-%m-%d %H:%M:%S}"
        link = f'<a href="{_MAIL}{escape(mail.id)}">{escape(mail.subject)}</a>'
        cells = (at, escape(", ".join(mail.to)), link, escape(mail.last_event))
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        description="Catches mail that is sent through Resend's API, and shows it."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8025)
    parser.add_argument("--domain", action="append", help="verified for sending; may be repeated")
    parser.add_argument("--api-key", default="re_catcher")
    parser.add_argument("--webhook-url", help="where events are posted")
    parser.add_argument("--webhook-host", help="the host they are posted for, where the URL has another")
    parser.add_argument("--webhook-secret", help="what they are signed with")
    options = parser.parse_args()
    with Catcher(
        api_key=options.api_key,
        domains=options.domain or ["example.com"],
        keep_bodies=True,
        webhooks=WebhookPlan(url=options.webhook_url, host=options.webhook_host),
        webhook_secret=options.webhook_secret,
        port=options.port,
        host=options.host,
    ):
        sys.stdout.write(f"Mails are shown on port {options.port}.\n")
        sys.stdout.flush()
        wait_for_signal()


if __name__ == "__main__":
    main()
