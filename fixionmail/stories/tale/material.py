"""The material of each genre, from ``stories/genres/*.toml``.

A genre file holds lists of words, and groups of interchangeable entries: ``[[opening]]``, ``[[trouble]]`` and so on. A
story takes one entry of each group. ``spine`` names, in order, the entries' pieces that make up the story; every other
piece of a chosen entry is a slot of the form ``{group.piece}``. The comment at the head of each file says what is true
after each scene, which is what lets any entries stand together.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from fixionmail.stories.tale.template import Template

DEFAULT_GENRE = "everyday"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a group: pieces of the story, and words that other pieces refer to."""

    scenes: Mapping[str, Template]
    words: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything a story of one genre is made from."""

    genre: str
    aliases: tuple[str, ...]
    spine: tuple[tuple[str, str], ...]
    """(group, piece) in the order of telling."""
    groups: Mapping[str, tuple[Entry, ...]]
    she: tuple[str, ...]
    he: tuple[str, ...]
    surnames: tuple[str, ...]
    trades: tuple[str, ...]
    towns: tuple[str, ...]
    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]
    titles: tuple[Template, ...]
    fixed: Mapping[str, str]
    """Roles whose pronouns the text takes for granted: role -> "she" or "he"."""


def material_for(genre: str) -> Material:
    """The material for what a subscriber calls a genre; the everyday one when it is empty or unknown."""
    wanted = " ".join(re.findall(r"[^\W_]+", genre.casefold()))
    for alias, name in _aliases():
        if re.search(rf"\b{alias}\b", wanted):
            return load(name)
    return load(DEFAULT_GENRE)


@cache
def genres() -> tuple[str, ...]:
    """The names of all genres, in alphabetical order."""
    folder = files("fixionmail.stories") / "genres"
    return tuple(
        sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
    )


@cache
def load(genre: str) -> Material:
    """The material of one genre, by the name of its file.

    Raises:
        ValueError: the file is malformed; a defect of the package.
    """
    file = files("fixionmail.stories") / "genres" / f"{genre}.toml"
    raw: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    spine = tuple(_pair(step) for step in raw["spine"])
    groups = {
        name: value for name, value in raw.items() if isinstance(value, list) and isinstance(value[0], dict)
    }
    return Material(
        genre=genre,
        aliases=tuple(raw["aliases"]),
        spine=spine,
        groups=MappingProxyType({name: _entries(name, rows, spine) for name, rows in groups.items()}),
        she=tuple(raw["she"]),
        he=tuple(raw["he"]),
        surnames=tuple(raw["surnames"]),
        trades=tuple(raw["trades"]),
        towns=tuple(raw["towns"]),
        adjectives=tuple(raw["adjectives"]),
        nouns=tuple(raw["nouns"]),
        titles=tuple(Template.parse(title) for title in raw["titles"]),
        fixed=MappingProxyType(dict(raw.get("fixed", {}))),
    )


def _entries(
    group: str, rows: Iterable[Mapping[str, str]], spine: tuple[tuple[str, str], ...]
) -> tuple[Entry, ...]:
    told = {piece for name, piece in spine if name == group}
    return tuple(
        Entry(
            scenes={piece: Template.parse(_unwrapped(text)) for piece, text in row.items() if piece in told},
            words={f"{group}.{piece}": text for piece, text in row.items() if piece not in told},
        )
        for row in rows
    )


def _unwrapped(text: str) -> str:
    """Paragraphs on one line each: the lines of a file are cut for its reader, not for the story's."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _pair(step: str) -> tuple[str, str]:
    group, _, piece = step.partition(".")
    return group, piece


@cache
def _aliases() -> tuple[tuple[str, str], ...]:
    """(alias, genre), the longest alias first, so that "science fiction" is found before "fiction"."""
    pairs = [
        (" ".join(re.findall(r"[^\W_]+", alias)), name) for name in genres() for alias in load(name).aliases
    ]
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))
