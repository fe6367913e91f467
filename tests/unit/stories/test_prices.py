"""What requests cost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from fixionmail.errors import SettingsError
from fixionmail.models.stories import Usage
from fixionmail.settings import Settings
from fixionmail.stories import writer_for
from fixionmail.stories.fallback import WithFallback
from fixionmail.stories.prices import Price, load_prices
from fixionmail.stories.providers import anthropic, openai

TOKENS = st.integers(0, 10**7)
PRICE = Price(input=Decimal("2"), output=Decimal("10"), cached=Decimal("0.1"))


@given(TOKENS, TOKENS, TOKENS)
def test_a_price_is_exact_and_cached_input_has_its_own(fresh: int, cached: int, output: int) -> None:
    usage = Usage(input_tokens=fresh + cached, cached_tokens=cached, output_tokens=output)
    assert PRICE.of(usage) * 10_000_000 == fresh * 20 + cached * 1 + output * 100


@given(TOKENS, TOKENS)
def test_no_answer_costs_more_than_the_most_it_can(characters: int, output: int) -> None:
    usage = Usage(input_tokens=characters, output_tokens=output)
    assert PRICE.of(usage) <= PRICE.at_most(characters=characters, max_tokens=output)


@pytest.mark.parametrize(
    ("provider", "model"), [("anthropic", anthropic.DEFAULT_MODEL), ("openai", openai.DEFAULT_MODEL)]
)
def test_the_models_that_are_asked_by_default_have_a_price(provider: str, model: str) -> None:
    assert load_prices().find(provider, model) is not None


def test_a_dated_name_costs_what_the_name_without_its_date_does() -> None:
    prices = load_prices()
    assert prices.find("anthropic", "claude-haiku-4-5-20251001") == prices.find(
        "anthropic", "claude-haiku-4-5"
    )
    assert prices.find("openai", "gpt-5.5-2026-04-23") == prices.find("openai", "gpt-5.5")


def test_an_unknown_model_has_no_price() -> None:
    assert load_prices().find("openai", "gpt-5.5-mega") is None


def test_prices_of_ones_own_win_and_the_others_stay(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('[openai]\n"gpt-5.5" = { input = "7", output = 8.5 }\n"mine" = { input = 0, output = 0 }')
    prices = load_prices(own)
    assert prices.find("openai", "gpt-5.5") == Price(
        input=Decimal(7), output=Decimal("8.5"), cached=Decimal(7)
    )
    assert prices.find("openai", "mine") == Price(input=Decimal(0), output=Decimal(0), cached=Decimal(0))
    assert prices.find("anthropic", "claude-sonnet-5-5") == load_prices().find(
        "anthropic", "claude-sonnet-5-5"
    )


@pytest.mark.parametrize(
    "text",
    [
        "openai = 3",
        '[openai]\n"m" = 3',
        '[openai]\n"m" = { input = "1" }',
        '[openai]\n"m" = { input = "-1", output = "1" }',
        '[openai]\n"m" = { input = "nan", output = "1" }',
        '[openai]\n"m" = { input = "x", output = "1" }',
        '[openai]\n"m" = { input = "1", output = "1", inptu = "2" }',
        "[openai",
    ],
)
def test_a_table_that_makes_no_sense_is_a_settings_error_that_shows_how(tmp_path: Path, text: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(SettingsError, match=r"prices\.toml"):
        load_prices(own)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="STORY_PRICES names"):
        load_prices(tmp_path / "absent.toml")


class TestWhoWrites:
    @pytest.mark.parametrize("provider", ["anthropic", "openai"])
    def test_a_missing_key_is_named(self, provider: str) -> None:
        with pytest.raises(SettingsError, match=f"{provider.upper()}_API_KEY is not set"):
            writer_for(Settings.model_construct(story_provider=provider))  # type: ignore[arg-type]

    def test_an_endpoint_of_ones_own_needs_no_key(self) -> None:
        settings = Settings.model_construct(
            story_provider="openai",
            openai_base_url=SecretStr("http://127.0.0.1:11434/v1"),
            story_model="llama",
        )
        assert writer_for(settings).name == "openai"

    def test_a_budget_needs_to_know_the_price(self) -> None:
        settings = Settings.model_construct(
            story_provider="openai",
            openai_api_key=SecretStr("k"),
            story_model="llama",
            story_daily_budget_usd=Decimal(1),
        )
        with pytest.raises(SettingsError, match="price of llama is not known"):
            writer_for(settings)

    def test_a_second_writer_stands_behind_the_first(self) -> None:
        settings = Settings.model_construct(
            story_provider="openai", openai_api_key=SecretStr("k"), story_fallback_provider="offline"
        )
        writer = writer_for(settings)
        assert isinstance(writer, WithFallback)
        assert (writer.first.name, writer.second.name) == ("openai", "offline")

    def test_a_writer_is_not_its_own_second(self) -> None:
        assert writer_for(Settings.model_construct(story_fallback_provider="offline")).name == "offline"
