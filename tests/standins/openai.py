"""A strict stand-in for OpenAI's Chat Completions API, streamed: https://developers.openai.com/api/reference/chat.

Started by hand, it prints one line of JSON with its URL (for OPENAI_BASE_URL) and key::

    python -m tests.standins.openai --fault cut --fault-rate 0.2
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from tests.standins.model_api import ApiError, Call, ModelFault, ModelStandIn, Script, serve
from tests.standins.server import Reply, Request, json_reply

_FIELDS = {
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "n",
}
_ROLES = ("system", "developer", "user", "assistant")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_REASONS = {"end": "stop", "refusal": "stop", "max_tokens": "length"}


class OpenAiStandIn(ModelStandIn):
    """Speaks ``POST /v1/chat/completions``."""

    path = "/v1/chat/completions"
    defaults = ("gpt-5.6-luna", "gpt-5.5", "llama-local")

    def authorize(self, request: Request) -> None:
        """See :class:`ModelStandIn`."""
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            raise ApiError(401, "invalid_api_key", "Incorrect API key provided.")

    def check(self, request: Request) -> Call:
        """See :class:`ModelStandIn`."""
        body = _body(request)
        if unknown := sorted(set(body) - _FIELDS):
            raise _invalid(f"Unrecognized request argument supplied: {unknown[0]}")
        if body.get("stream") is not True:
            raise _invalid("This stand-in streams only.")
        if body.get("stream_options") not in (None, {"include_usage": True}, {"include_usage": False}):
            raise _invalid("Invalid stream_options.")
        if body.get("model") not in self.models:
            raise ApiError(404, "model_not_found", f"The model {body.get('model')} does not exist.")
        rules, material = _messages(body.get("messages"))
        return Call(
            model=body["model"],
            material=material,
            rules=rules,
            max_tokens=_limit(body),
            wants_json=_wants_json(body.get("response_format")),
        )

    def error_reply(self, error: ApiError) -> Reply:
        """See :class:`ModelStandIn`."""
        body = {
            "error": {
                "message": error.message,
                "type": error.kind,
                "param": None,
                "code": error.kind if error.status in (401, 404, 429) else None,
            }
        }
        return json_reply(error.status, body, error.headers)

    def events(self, script: Script) -> Iterator[bytes]:
        """See :class:`ModelStandIn`."""
        yield _chunk(script, {"role": "assistant", "content": "", "refusal": None})
        for number, piece in enumerate(script.pieces()):
            yield _chunk(script, {"content": piece})
            if script.fault == ModelFault.ERROR_MIDWAY and number == 1:
                yield _data(
                    {"error": {"message": "The server is overloaded", "type": "server_error", "code": None}}
                )
                return
        if script.fault == ModelFault.CUT_BEFORE_END:
            return
        if script.ending == "refusal":
            yield _chunk(script, {"refusal": "I can't help with that request."})
        yield _chunk(script, {}, finish=_REASONS[script.ending])
        entry = script.entry
        usage = {
            "prompt_tokens": entry.input_tokens,
            "completion_tokens": entry.output_tokens,
            "total_tokens": entry.input_tokens + entry.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        }
        entry.told = True
        yield _data({**_head(script), "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"


def _head(script: Script) -> dict[str, Any]:
    return {
        "id": "chatcmpl-standin",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": script.call.model,
    }


def _chunk(script: Script, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _data({**_head(script), "choices": [choice], "usage": None})


def _data(value: object) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message)


def _body(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise _invalid("Content-Type must be application/json.")
    try:
        body = json.loads(request.body)
    except ValueError:
        raise _invalid("We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise _invalid("The JSON body is not an object.")
    return body


def _messages(messages: Any) -> tuple[str, str]:
    if not isinstance(messages, list) or not messages:
        raise _invalid("Missing required parameter: 'messages'.")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise _invalid(f"Invalid 'messages[{number}]'.")
        if message["role"] not in _ROLES or not isinstance(message["content"], str):
            raise _invalid(f"Invalid 'messages[{number}]'.")
    rules = "\n".join(m["content"] for m in messages if m["role"] in ("system", "developer"))
    return rules, str(messages[-1]["content"])


def _limit(body: dict[str, Any]) -> int:
    named = [name for name in ("max_tokens", "max_completion_tokens") if name in body]
    if len(named) > 1:
        raise _invalid("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    limit = body[named[0]] if named else 4096
    if not isinstance(limit, int) or limit < 1:
        raise _invalid(f"Invalid '{named[0]}'.")
    return limit


def _wants_json(form: Any) -> bool:
    if form is None:
        return False
    spec = form.get("json_schema", {})
    if form.get("type") != "json_schema" or not _NAME.fullmatch(spec.get("name", "")):
        raise _invalid("Invalid 'response_format'.")
    schema = spec.get("schema", {})
    if spec.get("strict") and (
        schema.get("additionalProperties") is not False
        or sorted(schema.get("required", [])) != sorted(schema.get("properties", {}))
    ):
        raise _invalid(
            "Invalid schema for response_format: strict needs every property required, and no others."
        )
    return True


if __name__ == "__main__":
    serve(OpenAiStandIn, "A strict stand-in for OpenAI's Chat Completions.", "/v1")
