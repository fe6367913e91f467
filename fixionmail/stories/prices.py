"""What requests to language models cost. A model that is in no table has no known cost, and nothing guesses one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from fixionmail.errors import SettingsError
from fixionmail.models.stories import Usage

_BUILT_IN = Path(__file__).with_name("prices.toml")
_MILLION = Decimal(1_000_000)
_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")
_FIELDS = {"input", "output", "cached"}


@dataclass(frozen=True, kw_only=True)
class Price:
    """Of one model, in US dollars for a million tokens."""

    input: Decimal
    output: Decimal
    cached: Decimal
    """Of input that comes from the provider's cache."""

    def of(self, usage: Usage) -> Decimal:
        """What these tokens cost, exactly."""
        fresh = usage.input_tokens - usage.cached_tokens
        total = fresh * self.input + usage.cached_tokens * self.cached + usage.output_tokens * self.output
        return total / _MILLION

    def at_most(self, *, characters: int, max_tokens: int) -> Decimal:
        """What a request of so many characters can cost at most: a token is seldom less than a character."""
        return self.of(Usage(input_tokens=characters, output_tokens=max_tokens))


@dataclass(frozen=True)
class Prices:
    """Prices by provider and model."""

    _table: Mapping[tuple[str, str], Price]

    def find(self, provider: str, model: str) -> Price | None:
        """The price of a model; None when it is unknown. A dated name costs what the name without its date does."""
        return self._table.get((provider, model)) or self._table.get((provider, _DATE.sub("", model)))


def load_prices(own: Path | None = None) -> Prices:
    """The built-in prices, and those of the file ``own`` in their place.

    Raises:
        SettingsError: the file cannot be read as a table of prices; the message says where.
    """
    table = dict(_read(_BUILT_IN))
    if own is not None:
        table |= _read(own)
    return Prices(table)


def _read(file: Path) -> Mapping[tuple[str, str], Price]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        return {
            (provider, model): _price(fields)
            for provider, models in document.items()
            for model, fields in models.items()
        }
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"STORY_PRICES names {file}, which cannot be read: {error}.") from None
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, InvalidOperation) as error:
        raise SettingsError(
            f"{file} is not a table of prices ({error}); write [openai] and under it lines like "
            '"some-model" = { input = "1.50", output = "6" }, in US dollars for a million tokens.'
        ) from None


def _price(fields: Mapping[str, object]) -> Price:
    if unknown := set(fields) - _FIELDS:
        raise KeyError(f"unknown field {sorted(unknown)[0]!r}")
    amounts = {name: Decimal(str(value)) for name, value in fields.items()}
    if any(not amount.is_finite() or amount < 0 for amount in amounts.values()):
        raise TypeError("a price below zero, or none at all")
    return Price(
        input=amounts["input"], output=amounts["output"], cached=amounts.get("cached", amounts["input"])
    )
