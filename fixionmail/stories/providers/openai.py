"""Any endpoint that speaks OpenAI's Chat Completions API, through OpenAI's SDK: OpenAI, OpenRouter, Ollama, vLLM."""

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
    from openai import OpenAI
    from openai.types.chat import ChatCompletionChunk

DEFAULT_MODEL = "gpt-5.6-luna"
_NAME = "The OpenAI endpoint"
_NO_KEY = "no-key-needed"
"""The SDK wants one; endpoints on one's own machine do not look at it."""


class OpenAiModel(Endpoint["OpenAI"]):
    """See :class:`~fixionmail.stories.providers.endpoint.Endpoint`; ``url``: up to and with its ``/v1``.

    An endpoint that wants no key has None for it.
    """

    provider = "openai"

    def __init__(
        self,
        *,
        api_key: str | None = None,
        url: str | None = None,
        model: str = DEFAULT_MODEL,
        **seconds: float,
    ) -> None:
        super().__init__(api_key=api_key or _NO_KEY, url=url, model=model, **seconds)

    def _open(self) -> OpenAI:
        from openai import OpenAI

        return OpenAI(api_key=self._api_key, base_url=self._url, max_retries=0)

    def ask(self, prompt: Prompt, on_text: Callable[[str], None]) -> Answer:
        """See :class:`~fixionmail.stories.model.Model`."""
        client = self.client
        from openai import APIConnectionError, APIError, APIStatusError

        try:
            return self._read(client, prompt, Reading(_NAME, on_text))
        except APIStatusError as error:
            words = f"{error.code or error.type or ''} {error.message}"
            failure = reading.status_failure(_NAME, error.status_code, error.response.headers, words)
            raise self._safe(failure) from None
        except (APIConnectionError, httpx2.HTTPError) as error:
            raise self._safe(reading.broken_off(_NAME, error)) from None
        except APIError as error:  # said in the middle of a stream: what came before it is billed
            failed = Failure.OVERLOADED if "overloaded" in error.message.lower() else Failure.CUT
            words = f"{_NAME} ended its answer with an error: {error.message[:200]}."
            raise self._safe(ModelError(failed, words)) from None
        except ValueError as error:
            words = f"{_NAME} answered what cannot be read ({type(error).__name__})."
            raise ModelError(Failure.BAD_ANSWER, words) from None

    def _read(self, client: OpenAI, prompt: Prompt, text: Reading) -> Answer:
        ends_at, timeout = self._times()
        stream = client.chat.completions.create(
            model=self.model,
            messages=[
                {"role": "system", "content": prompt.rules},
                {"role": "user", "content": prompt.material},
            ],
            stream=True,
            stream_options={"include_usage": True},
            timeout=timeout,
            **self._options(prompt),
        )
        with stream:
            reading.hold_to(stream, ends_at)
            seen = _Seen()
            for chunk in stream:
                seen.take(chunk, text)
        return _answer(seen, text, prompt)

    def _options(self, prompt: Prompt) -> dict[str, Any]:
        """OpenAI's own newer models refuse ``max_tokens``; others may not know the name that took its place."""
        options: dict[str, Any] = {
            "max_completion_tokens" if self._url is None else "max_tokens": prompt.max_tokens
        }
        if prompt.schema is not None:
            schema = {"name": prompt.name, "strict": True, "schema": dict(prompt.schema)}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        return options


class _Seen:
    """What the chunks of a stream have said so far, apart from text."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.refusal = ""
        self.usage: Usage | None = None

    def take(self, chunk: ChatCompletionChunk, text: Reading) -> None:
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            self.usage = Usage(
                input_tokens=chunk.usage.prompt_tokens,
                cached_tokens=(details and details.cached_tokens) or 0,
                output_tokens=chunk.usage.completion_tokens,
            )
        for choice in chunk.choices:
            self.refusal += choice.delta.refusal or ""
            self.finish_reason = choice.finish_reason or self.finish_reason
            if choice.delta.content:
                text.add(choice.delta.content)


def _answer(seen: _Seen, text: Reading, prompt: Prompt) -> Answer:
    match seen.finish_reason:
        case None:
            raise ModelError(Failure.CUT, f"{_NAME}'s answer broke off without its end.")
        case "length":
            raise reading.truncated(_NAME, prompt.max_tokens, seen.usage)
        case "content_filter":
            raise reading.declined(_NAME, "its content filter struck", seen.usage)
        case "stop" if seen.refusal:
            raise reading.declined(_NAME, seen.refusal, seen.usage)
        case "stop":
            return Answer(text=text.text, usage=seen.usage)
    words = f"{_NAME} ended its answer for a reason we do not know: {seen.finish_reason}."
    raise ModelError(Failure.BAD_ANSWER, words, usage=seen.usage)
