"""Both kinds of endpoint, each behind its official SDK and with a strict stand-in on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fixionmail.stories.model import Model
from fixionmail.stories.pipeline import ModelWriter
from fixionmail.stories.prices import load_prices
from fixionmail.stories.providers.anthropic import AnthropicModel
from fixionmail.stories.providers.openai import OpenAiModel
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.model_api import ModelStandIn
from tests.standins.openai import OpenAiStandIn

KEY = "sk-a-secret-of-ours"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A stand-in and how it is reached."""

    provider: str
    server: ModelStandIn
    models: list[Model] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL or OPENAI_BASE_URL is set to."""
        return self.server.url + ("/v1" if self.provider == "openai" else "")

    def model(self, *, api_key: str = KEY, **options: Any) -> Model:
        """Our side of it."""
        kind = OpenAiModel if self.provider == "openai" else AnthropicModel
        model = kind(api_key=api_key, url=options.pop("url", self.url), **options)
        self.models.append(model)
        return model

    def writer(self, **options: Any) -> ModelWriter:
        """A writer that asks it."""
        model = self.model(**options)
        price = load_prices().find(model.provider, model.model)
        return ModelWriter(model=model, price=price, pause_seconds=0.01)

    @property
    def settings(self) -> dict[str, str]:
        """What makes a process of ours ask it."""
        name = self.provider.upper()
        return {
            "STORY_PROVIDER": self.provider,
            f"{name}_API_KEY": KEY,
            f"{name}_BASE_URL": self.url,
            "STORY_REQUESTS_PER_MINUTE": "100000",
        }


@contextmanager
def running_endpoint(provider: str, **options: Any) -> Iterator[Endpoint]:
    """One of them, until the end."""
    kind = OpenAiStandIn if provider == "openai" else AnthropicStandIn
    with kind(api_key=KEY, **options) as server:
        endpoint = Endpoint(provider=provider, server=server)
        yield endpoint
        for model in endpoint.models:
            model.close()
