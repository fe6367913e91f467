"""The control endpoint of the stand-ins (``/_control/...``), for tests that run in another process.

``POST /_control/faults`` with the fields of a FaultRule adds a rule, ``DELETE`` clears them, ``GET`` counts
what struck. ``POST /_control/clock`` with ``{"advance": seconds}`` puts the clock forward.
"""

from __future__ import annotations

import json

from tests.standins.clock import Clock
from tests.standins.faults import Fault, FaultPlan
from tests.standins.server import Reply, Request, json_reply

PREFIX = "/_control/"


def answer(request: Request, faults: FaultPlan, clock: Clock) -> Reply:
    """Carry out one control request that concerns faults or the clock."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "faults":
            return json_reply(200, faults.struck())
        case "POST", "faults":
            fields = json.loads(request.body)
            faults.add(Fault(fields.pop("fault")), **fields)
        case "DELETE", "faults":
            faults.clear()
        case "POST", "clock":
            clock.advance(json.loads(request.body)["advance"])
        case _:
            return json_reply(404, {"message": f"no such control: {request.method} {request.path}"})
    return json_reply(200, {"ok": True})
