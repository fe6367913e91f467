"""Where the story happens, from an invented town or from whatever a subscriber typed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fixionmail.stories.tale.phrases import article, capitalised
from fixionmail.stories.tale.words import words

_TAIL = re.compile(
    r",| (?:in|on|at|near|by|with|during|under|where|that|which|who|full|after|before|during|from) "
)
_ARTICLE = re.compile(r"(?i:(an?|the)) (.+)")


@dataclass(frozen=True, kw_only=True)
class Place:
    """How the story speaks of the place where it happens."""

    name: str
    """Short: "Paris", "the space station"."""
    within: str
    """Short, with its preposition: "in Paris", "on the space station"."""
    within_first: str
    """In full, for the first mention: "in Paris in the 1920s", "on a space station"."""
    picture: str = ""
    """The subscriber's own words, when no sentence could be built around them."""
    proper: bool = True
    """Whether ``name`` can end a title."""


def known_place(phrase: str) -> Place:
    """The place of a name of our own, with or without its preposition: "Harrowmere", "on Far Lamp"."""
    preposition, name = _split_preposition(phrase)
    return _proper(preposition, name, "")


def read_place(phrase: str) -> Place:
    """Make a place of a cleaned, non-empty phrase such as "a small town", "Paris in the 1920s" or "on Mars"."""
    preposition, rest = _split_preposition(phrase)
    if rest.split()[0].lower() in words().determiners:
        return _pictured(phrase)
    if match := _ARTICLE.fullmatch(rest):
        return _common(preposition, _head(match[2]), f"{match[1].lower()} {match[2]}")
    head, tail = _head(rest), rest[len(_head(rest)) :]
    if _is_common(head):
        head = head[:1].lower() + head[1:]
        return _common(preposition, head, f"{_article(head)} {head}{tail}")
    if head.lower() in words().bare_places:
        return _proper(preposition, head.lower(), tail)
    if _is_proper(head):
        return _proper(preposition, _with_capitals(head), tail)
    return _pictured(phrase if preposition else rest)


def _head(rest: str) -> str:
    return _TAIL.split(rest, maxsplit=1)[0].strip()


def _is_common(head: str) -> bool:
    """A noun that wants an article; a capital on the first word is only a telephone's keyboard."""
    *before, last = head.split()
    named = any(word.lower() in words().known_places for word in before)
    return _in_common_nouns(last) and not named and head[1:] == head[1:].lower()


def _in_common_nouns(word: str) -> bool:
    return word.lower() in words().common_nouns or _is_plural(word)


def _is_plural(word: str) -> bool:
    return word.endswith("s") and word[:-1].lower() in words().common_nouns


def _article(head: str) -> str:
    return "the" if _is_plural(head.split()[-1]) else article(head)


def _is_proper(head: str) -> bool:
    return head.split()[-1][:1].isupper() or any(
        word.lower() in words().known_places for word in head.split()
    )


def _with_capitals(head: str) -> str:
    return " ".join(
        capitalised(w) if w.lower() in words().known_places | words().common_nouns else w
        for w in head.split()
    )


def _pictured(phrase: str) -> Place:
    there = "in that place"
    picture = f"Picture it: {phrase}."
    return Place(name="the place", within=there, within_first=there, picture=picture, proper=False)


def _split_preposition(phrase: str) -> tuple[str, str]:
    first, _, rest = phrase.partition(" ")
    return (first.lower(), rest) if rest and first.lower() in words().prepositions else ("", phrase)


def _common(preposition: str, head: str, full: str) -> Place:
    where = preposition or _usual_preposition(head)
    return Place(
        name=f"the {head}", within=f"{where} the {head}", within_first=f"{where} {full}", proper=False
    )


def _proper(preposition: str, head: str, tail: str) -> Place:
    where = preposition or _usual_preposition(head)
    return Place(name=head, within=f"{where} {head}", within_first=f"{where} {head}{tail}")


def _usual_preposition(head: str) -> str:
    *before, last = head.lower().split()
    return "on" if last in words().on or "space" in before else "in"
