"""Who is in the story: names, pronouns, and what a subscriber said of the main character."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fixionmail.stories.tale.dice import Dice
from fixionmail.stories.tale.phrases import article, title_cased
from fixionmail.stories.tale.words import words

_CAPITALISED = r"[^\W\d_a-z][\w’-]*"
_A_NAME = re.compile(rf"{_CAPITALISED}(?: {_CAPITALISED}){{0,3}}")
_NAMED = re.compile(rf"(?P<what>.+?),? (?:named|called) (?P<name>{_CAPITALISED}(?: {_CAPITALISED}){{0,3}})")
_NAME_FIRST = re.compile(rf"(?P<name>{_CAPITALISED}(?: {_CAPITALISED}){{0,3}}),? (?P<what>(?:an?|the) .+)")
_OWNED = re.compile(rf"(?i:my|our) (?P<what>[a-z][a-z ’-]*?) (?P<name>{_CAPITALISED})")
_DESCRIBED = re.compile(r"(?P<article>(?i:an?|the)) (?P<what>.+)")
_ONE_PERSON = re.compile(r"[a-z][a-z’-]*(?: [a-z][a-z’-]*)*")


@dataclass(frozen=True, kw_only=True)
class Pronouns:
    """The words that stand for a person."""

    they: str
    them: str
    their: str
    theirs: str
    themself: str
    were: str


SHE = Pronouns(they="she", them="her", their="her", theirs="hers", themself="herself", were="was")
HE = Pronouns(they="he", them="him", their="his", theirs="his", themself="himself", were="was")
THEY = Pronouns(they="they", them="them", their="their", theirs="theirs", themself="themself", were="were")


@dataclass(frozen=True, kw_only=True)
class Person:
    """One of the cast. ``introduction`` is how the story first names them: "Ines Calder, a bookbinder,"."""

    name: str
    introduction: str
    pronouns: Pronouns

    def slots(self, role: str) -> dict[str, str]:
        """What templates may ask of this person, by the name of the role."""
        words = {f"{role}.{word}": value for word, value in vars(self.pronouns).items()}
        return {role: self.name, **words}


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What a subscriber said of the main character, as far as it was understood."""

    name: str = ""
    description: str = ""
    """With its article: "a retired pilot"."""
    byword: str = ""
    """The whole phrase, when it is neither a name nor a description of one person."""
    pronouns: Pronouns | None = None


def read_character(phrase: str) -> Sketch:
    """Make out a name and a description in a cleaned phrase such as "a retired pilot named Ana"."""
    if not phrase:
        return Sketch()
    pronouns = _pronouns_in(phrase)
    for shape in (_NAMED, _NAME_FIRST, _OWNED):
        if match := shape.fullmatch(phrase):
            return Sketch(name=match["name"], description=_with_article(match["what"]), pronouns=pronouns)
    if match := _DESCRIBED.fullmatch(phrase):
        return Sketch(description=f"{match['article'].lower()} {match['what']}", pronouns=pronouns)
    if phrase.lower() in words().honorifics:
        return Sketch(description=_with_article(phrase.lower()), pronouns=pronouns)
    if _is_name(phrase):
        return Sketch(name=title_cased(phrase), pronouns=pronouns)
    if _ONE_PERSON.fullmatch(phrase) and not _sounds_like_several(phrase):
        return Sketch(description=_with_article(phrase), pronouns=pronouns)
    return Sketch(byword=phrase, pronouns=pronouns)


def invent(
    she: Sequence[str], he: Sequence[str], pronouns: Pronouns | None, *, taken: Sequence[str], dice: Dice
) -> Person:
    """A person out of the lists of names, with a first letter of their own where the lists allow it."""
    wanted = {SHE: she, HE: he}.get(pronouns or dice.choose((SHE, HE)), [*she, *he])
    initials = {name[0] for name in taken}
    names = [name for name in wanted if name[0] not in initials] or [
        name for name in wanted if name not in taken
    ]
    name = dice.choose(names)
    return Person(name=name, introduction=name, pronouns=SHE if name in she else HE)


def lead(sketch: Sketch, invented: Person, surname: str, trade: str) -> Person:
    """The main character: the subscriber's as far as there is one, the rest invented."""
    if sketch.name:
        introduction = f"{sketch.name}, {sketch.description}," if sketch.description else sketch.name
        return Person(
            name=_what_friends_say(sketch.name), introduction=introduction, pronouns=sketch.pronouns or THEY
        )
    full = f"{invented.name} {surname}"
    if sketch.byword:
        introduction = f"{full}, known to everyone as “{sketch.byword}”,"
    else:
        introduction = f"{full}, {sketch.description or trade},"
    return Person(name=invented.name, introduction=introduction, pronouns=invented.pronouns)


def _is_name(phrase: str) -> bool:
    """Capitalised, or a known given name, with a title before it or not: "Rex", "king arthur", "maria"."""
    first, *rest = phrase.lower().split()
    given = rest[:1] if first in words().honorifics else [first]
    known = bool(given) and given[0] in words().she_names | words().he_names
    return bool(_A_NAME.fullmatch(phrase)) or (known and len(rest) <= 2)


def _pronouns_in(phrase: str) -> Pronouns | None:
    """By the first telling word: a noun such as "queen" before a name, for "a boy called Ana" is a boy."""
    said = re.findall(r"[^\W\d_]+", phrase.lower())
    for she, he in ((words().she_words, words().he_words), (words().she_names, words().he_names)):
        for word in said:
            if word in she:
                return SHE
            if word in he:
                return HE
    return None


def _with_article(what: str) -> str:
    if match := _DESCRIBED.fullmatch(what):
        return f"{match['article'].lower()} {match['what']}"
    return f"{article(what)} {what}"


def _sounds_like_several(phrase: str) -> bool:
    first, last = phrase.split()[0], phrase.split()[-1]
    if " and " in phrase or first in words().determiners:
        return True
    return last.endswith("s") and not last.endswith(("ss", "us"))


def _what_friends_say(name: str) -> str:
    """The given name, behind its title if it has one: "Rex", "Captain Rex"."""
    first, *rest = name.split()
    return " ".join([first, *rest[:1]]) if first.lower().rstrip(".") in words().honorifics else first
