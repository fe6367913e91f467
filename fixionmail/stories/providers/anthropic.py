"""Anthropic's Messages API through its SDK: https://platform.claude.com/docs/en/api/messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx2

from fixionmail.models.stories import Usage
from fixionmail.stories.model import Answer, Failure, ModelError, Prompt
from fixionmail.stories.providers import reading
from fixionmail.stories.providers.endpoint import Endpoint
from fixionmail.stories.providers.reading import Reading

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.types import RawMessageStreamEvent

DEFAULT_MODEL = "claude-sonnet-5-5"
_NAME = "Anthropic"
_ENDINGS = ("end_turn", "stop_sequence")
_LIMITS = ("max_tokens", "model_context_window_exceeded")


class AnthropicModel(Endpoint["Anthropic"]):
    """See :class:`~fixionmail.stories.providers.endpoint.Endpoint`; ``url``: of one that speaks this API."""

    provider = "anthropic"

    def __init__(
        self, *, api_key: str, url: str | None = None, model: str = DEFAULT_MODEL, **seconds: float
    ) -> None:
        super().__init__(api_key=api_key, url=url, model=model, **seconds)

    def _open(self) -> Anthropic:
        from anthropic import Anthropic

        return Anthropic(api_key=self._api_key, base_url=self._url, max_retries=0, open_telemetry=False)

    def ask(self, prompt: Prompt, on_text: Callable[[str], None]) -> Answer:
        """See :class:`~fixionmail.stories.model.Model`."""
        client = self.client
        from anthropic import APIConnectionError, APIError, APIStatusError

        try:
            return self._read(client, prompt, Reading(_NAME, on_text))
        except APIStatusError as error:
            raise self._status_failure(error) from None
        except (APIConnectionError, httpx2.HTTPError) as error:
            raise self._safe(reading.broken_off(_NAME, error)) from None
        except (APIError, ValueError) as error:
            words = f"{_NAME} answered what cannot be read ({type(error).__name__})."
            raise ModelError(Failure.BAD_ANSWER, words) from None

    def _read(self, client: Anthropic, prompt: Prompt, text: Reading) -> Answer:
        ends_at, timeout = self._times()
        options: dict[str, Any] = {}
        if prompt.schema is not None:
            options["output_config"] = {
                "format": {"type": "json_schema", "schema": dict(prompt.schema)},
            }
        stream = client.messages.create(
            model=self.model,
            max_tokens=prompt.max_tokens,
            system=prompt.rules,
            messages=[{"role": "user", "content": prompt.material}],
            stream=True,
            timeout=timeout,
            **options,
        )
        with stream:
            reading.hold_to(stream, ends_at)
            seen = _Seen()
            for event in stream:
                seen.take(event, text)
        return _answer(seen, text, prompt)

    def _status_failure(self, error: Any) -> ModelError:
        words = f"{error.type or ''} {error.api_message or ''}"
        if error.response.status_code == 200:  # said in the middle of a stream: what came before it is billed
            failure = Failure.OVERLOADED if "overloaded" in words else Failure.CUT
            return self._safe(
                ModelError(failure, f"{_NAME} ended its answer with an error: {words.strip()}.")
            )
        return self._safe(
            reading.status_failure(_NAME, error.response.status_code, error.response.headers, words)
        )


class _Seen:
    """What the events of a stream have said so far, apart from text."""

    def __init__(self) -> None:
        self.stop_reason: str | None = None
        self.explanation = ""
        self.is_whole = False
        self._input = self._cached = self._output = 0

    def take(self, event: RawMessageStreamEvent, text: Reading) -> None:
        match event.type:
            case "message_start":
                self._count(event.message.usage)
            case "content_block_delta":
                if event.delta.type == "text_delta":
                    text.add(event.delta.text)
            case "message_delta":
                self._count(event.usage)
                self.stop_reason = event.delta.stop_reason
                self.explanation = getattr(event.delta.stop_details, "explanation", None) or ""
            case "message_stop":
                self.is_whole = True

    @property
    def usage(self) -> Usage:
        """Final once the message is whole. Anthropic counts what comes from its cache apart from the input."""
        return Usage(
            input_tokens=self._input + self._cached, cached_tokens=self._cached, output_tokens=self._output
        )

    def _count(self, usage: Any) -> None:
        self._input = usage.input_tokens if usage.input_tokens is not None else self._input
        self._cached = usage.cache_read_input_tokens or self._cached
        self._output = usage.output_tokens


def _answer(seen: _Seen, text: Reading, prompt: Prompt) -> Answer:
    if not seen.is_whole:
        raise ModelError(Failure.CUT, f"{_NAME}'s answer broke off without its end.")
    if seen.stop_reason == "refusal":
        raise reading.declined(_NAME, seen.explanation or text.text, seen.usage)
    if seen.stop_reason in _LIMITS:
        raise reading.truncated(_NAME, prompt.max_tokens, seen.usage)
    if seen.stop_reason not in _ENDINGS:
        words = f"{_NAME} ended its answer for a reason we do not know: {seen.stop_reason}."
        raise ModelError(Failure.BAD_ANSWER, words, usage=seen.usage)
    return Answer(text=text.text, usage=seen.usage)
