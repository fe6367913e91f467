"""The writers that can be named in ``STORY_PROVIDER`` and ``STORY_FALLBACK_PROVIDER``."""

from __future__ import annotations

from pydantic import SecretStr

from fixionmail.errors import SettingsError
from fixionmail.settings import Settings
from fixionmail.stories.fallback import WithFallback
from fixionmail.stories.model import Model
from fixionmail.stories.pipeline import ModelWriter
from fixionmail.stories.prices import load_prices
from fixionmail.stories.writer import Writer


def writer_for(settings: Settings) -> Writer:
    """Who writes the stories, by the settings. No connection is opened, and no SDK is loaded, before it writes.

    Raises:
        SettingsError: a key is missing, or a budget is set and a model's price is not known.
    """
    first = _writer(settings, "STORY_PROVIDER", settings.story_provider, settings.story_model)
    fallback = settings.story_fallback_provider
    if fallback is None or (fallback, settings.story_fallback_model) == (
        settings.story_provider,
        settings.story_model,
    ):
        return first
    second = _writer(settings, "STORY_FALLBACK_PROVIDER", fallback, settings.story_fallback_model)
    return WithFallback(first=first, second=second)


def _writer(settings: Settings, setting: str, provider: str, model: str | None) -> Writer:
    match provider:
        case "offline":
            from fixionmail.stories.providers.offline import OfflineWriter

            return OfflineWriter()
        case "anthropic":
            return _priced(settings, _anthropic(settings, setting, model))
        case "openai":
            return _priced(settings, _openai(settings, setting, model))
    raise SettingsError(
        f"{setting} is {provider!r}, which no writer answers to; use one of: anthropic, openai, offline."
    )


def _anthropic(settings: Settings, setting: str, model: str | None) -> Model:
    from fixionmail.stories.providers.anthropic import DEFAULT_MODEL, AnthropicModel

    if settings.anthropic_api_key is None:
        raise SettingsError(f"{setting} is anthropic, but ANTHROPIC_API_KEY is not set.")
    return AnthropicModel(
        api_key=settings.anthropic_api_key.get_secret_value(),
        url=_text(settings.anthropic_base_url),
        model=model or DEFAULT_MODEL,
    )


def _openai(settings: Settings, setting: str, model: str | None) -> Model:
    from fixionmail.stories.providers.openai import DEFAULT_MODEL, OpenAiModel

    if settings.openai_api_key is None and settings.openai_base_url is None:
        raise SettingsError(
            f"{setting} is openai, but OPENAI_API_KEY is not set (nor OPENAI_BASE_URL, for an endpoint without keys)."
        )
    return OpenAiModel(
        api_key=_text(settings.openai_api_key),
        url=_text(settings.openai_base_url),
        model=model or DEFAULT_MODEL,
    )


def _priced(settings: Settings, model: Model) -> Writer:
    price = load_prices(settings.story_prices).find(model.provider, model.model)
    if price is None and settings.story_daily_budget_usd is not None:
        raise SettingsError(
            f"STORY_DAILY_BUDGET_USD is set, but the price of {model.model} is not known: state it in a file and name "
            "that in STORY_PRICES (see docs/stories.md)."
        )
    return ModelWriter(model=model, price=price)


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
