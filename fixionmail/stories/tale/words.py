"""The word lists of ``words.toml``, read once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, kw_only=True)
class Words:
    """Lists of lower-case words; ``words.toml`` says what each is for."""

    honorifics: frozenset[str]
    she_words: frozenset[str]
    he_words: frozenset[str]
    determiners: frozenset[str]
    prepositions: frozenset[str]
    common_nouns: frozenset[str]
    on: frozenset[str]
    known_places: frozenset[str]
    bare_places: frozenset[str]
    she_names: frozenset[str]
    he_names: frozenset[str]


@cache
def words() -> Words:
    """The lists."""
    text = (files("fixionmail.stories.tale") / "words.toml").read_text(encoding="utf-8")
    return Words(**{name: frozenset(entries) for name, entries in tomllib.loads(text).items()})
