"""A strict stand-in for Anthropic's Messages API, streamed: https://platform.claude.com/docs/en/api/messages.

Started by hand, it prints one line of JSON with its URL (for ANTHROPIC_BASE_URL) and key::

    python -m tests.standins.anthropic --fault overloaded --fault-rate 0.2
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.standins.model_api import ApiError, Call, ModelFault, ModelStandIn, Script, serve
from tests.standins.server import Reply, Request, json_reply

VERSIONS = ("2023-06-01", "2026-10-21")
_FIELDS = {
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "output_config",
    "stop_sequences",
    "metadata",
}
_MOST_TOKENS = 128_000
_STOP_REASONS = {"end": "end_turn", "refusal": "refusal", "max_tokens": "max_tokens"}


class AnthropicStandIn(ModelStandIn):
    """Speaks ``POST /v1/messages``."""

    path = "/v1/messages"
    defaults = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5")

    def check(self, request: Request) -> Call:
        """See :class:`ModelStandIn`."""
        if request.headers.get("anthropic-version") not in VERSIONS:
            raise _invalid("anthropic-version: header is required and must be a valid version")
        body = _body(request)
        if unknown := sorted(set(body) - _FIELDS):
            raise _invalid(f"{unknown[0]}: Extra inputs are not permitted")
        if not isinstance(body.get("max_tokens"), int) or not 1 <= body["max_tokens"] <= _MOST_TOKENS:
            raise _invalid(f"max_tokens: must be a whole number from 1 to {_MOST_TOKENS}")
        if body.get("stream") is not True:
            raise _invalid("stream: this stand-in streams only")
        if body.get("model") not in self.models:
            raise ApiError(404, "not_found_error", f"model: {body.get('model')}")
        if not isinstance(body.get("system", ""), str):
            raise _invalid("system: must be text")
        return Call(
            model=body["model"],
            material=_material(body.get("messages")),
            rules=body.get("system", ""),
            max_tokens=body["max_tokens"],
            wants_json=_wants_json(body.get("output_config")),
        )

    def error_reply(self, error: ApiError) -> Reply:
        """See :class:`ModelStandIn`."""
        body = {
            "type": "error",
            "error": {"type": error.kind, "message": error.message},
            "request_id": "req_standin",
        }
        return json_reply(error.status, body, {"request-id": "req_standin", **error.headers})

    def events(self, script: Script) -> Iterator[bytes]:
        """See :class:`ModelStandIn`."""
        entry = script.entry
        start = {
            "id": "msg_standin",
            "type": "message",
            "role": "assistant",
            "model": script.call.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": entry.input_tokens, "output_tokens": 1},
        }
        yield _event("message_start", message=start)
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield _event("ping")
        for number, piece in enumerate(script.pieces()):
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            if script.fault == ModelFault.ERROR_MIDWAY and number == 1:
                yield _event("error", error={"type": "overloaded_error", "message": "Overloaded"})
                return
        if script.fault == ModelFault.CUT_BEFORE_END:
            return
        yield _event("content_block_stop", index=0)
        details = None
        if script.ending == "refusal":
            details = {"type": "refusal", "category": None, "explanation": "This request was declined."}
        yield _event(
            "message_delta",
            delta={
                "stop_reason": _STOP_REASONS[script.ending],
                "stop_sequence": None,
                "stop_details": details,
            },
            usage={"input_tokens": entry.input_tokens, "output_tokens": entry.output_tokens},
        )
        entry.told = True
        yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message)


def _body(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise _invalid("content-type: must be application/json")
    try:
        body = json.loads(request.body)
    except ValueError:
        raise _invalid("The request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise _invalid("The request body is not an object")
    return body


def _material(messages: Any) -> str:
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages: at least one message is required")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise _invalid(f"messages.{number}: needs role and content")
        if message["role"] != ("user", "assistant")[number % 2]:
            raise _invalid(f"messages.{number}: roles must alternate, beginning with user")
        if not isinstance(message["content"], str) or not message["content"].strip():
            raise _invalid(f"messages.{number}: content must be non-empty")
    return str(messages[-1]["content"])


def _wants_json(config: Any) -> bool:
    if config is None:
        return False
    form = config.get("format", {})
    if form.get("type") != "json_schema" or form.get("schema", {}).get("additionalProperties") is not False:
        raise _invalid("output_config.format: needs a json_schema whose objects forbid additional properties")
    return True


if __name__ == "__main__":
    serve(AnthropicStandIn, "A strict stand-in for Anthropic.", "")
