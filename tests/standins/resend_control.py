"""The Resend stand-in's control endpoint, beyond faults and clock (see control.py).

``GET  /_control/summary``   mails, duplicates, answers by status, faults that struck, busiest second
``GET  /_control/ledger``    every mail accepted, without bodies
``POST /_control/refuse``    ``{"addresses": [...]}`` are refused from now on
``POST /_control/fate``      ``{"address": ..., "events": ["email.bounced"]}``
``POST /_control/event``     ``{"email_id": ..., "type": "email.complained"}`` happens now
``POST /_control/limits``    ``{"rate_limit": n, "daily_quota": n, "monthly_quota": n}``, null for none
``POST /_control/webhooks``  ``{"url": ..., "delay": [least, most], "twice": rate}``
``POST /_control/key``       ``{"api_key": ...}`` replaces the key
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.standins import control
from tests.standins.resend_ledger import as_row
from tests.standins.resend_webhooks import WebhookPlan
from tests.standins.server import Reply, Request, json_reply

if TYPE_CHECKING:
    from tests.standins.resend import ResendStandIn


def answer(server: ResendStandIn, request: Request) -> Reply:
    """Carry out one control request."""
    match request.method, request.path.removeprefix(control.PREFIX):
        case "GET", "summary":
            return json_reply(200, _summary(server))
        case "GET", "ledger":
            return json_reply(200, [as_row(mail) for mail in server.ledger.mails()])
        case "POST", ("refuse" | "fate" | "event" | "limits" | "webhooks" | "key") as what:
            return _change(server, what, json.loads(request.body))
    return control.answer(request, server.faults, server.clock)


def _change(server: ResendStandIn, what: str, fields: dict[str, Any]) -> Reply:
    match what:
        case "refuse":
            server.refuse(*fields["addresses"])
        case "fate":
            server.set_fate(fields["address"], fields["events"])
        case "event":
            mail = server.ledger.get(fields["email_id"])
            if mail is None:
                return json_reply(404, {"message": f"no mail {fields['email_id']}"})
            server.emit(fields["type"], mail)
        case "limits":
            server.rate.limit = fields.get("rate_limit")
            server.quotas.daily = fields.get("daily_quota")
            server.quotas.monthly = fields.get("monthly_quota")
        case "webhooks":
            least, most = fields.get("delay", (0.0, 0.0))
            server.webhooks.plan = WebhookPlan(
                url=fields["url"], delay=(least, most), twice=fields.get("twice", 0.0)
            )
        case "key":
            server.api_key = fields["api_key"]
    return json_reply(200, {"ok": True})


def _summary(server: ResendStandIn) -> dict[str, Any]:
    duplicates = [
        {"address": address, "date": date, "mails": number}
        for (address, date), number in server.ledger.duplicates().items()
    ]
    return {
        "mails": len(server.ledger),
        "duplicates": duplicates,
        "answers": dict(server.answers),
        "faults": server.faults.struck(),
        "busiest_second": server.busiest_second(),
        "webhooks_delivered": server.webhooks.delivered,
    }
