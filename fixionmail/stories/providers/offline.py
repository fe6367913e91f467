"""The writer that needs no key and no network: it tells a story from the genre files.

The same subscriber and local date give the same story on every machine. Over consecutive days a subscriber gets every
combination of scenes, and every title, before one comes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from math import prod

from fixionmail.models.stories import Brief, Story
from fixionmail.stories.desk import Desk
from fixionmail.stories.tale.cast import HE, SHE, Person, invent, lead, read_character
from fixionmail.stories.tale.dice import Dice
from fixionmail.stories.tale.material import Entry, Material, material_for
from fixionmail.stories.tale.phrases import article, capitalised, clean_phrase, title_cased
from fixionmail.stories.tale.place import Place, known_place, read_place
from fixionmail.stories.tale.template import Template
from fixionmail.stories.tale.walk import picks
from fixionmail.stories.writer import Limits
from fixionmail.wishes import USUAL_LENGTH

_DOUBLED_COMMA = re.compile(r",(?=[,.;:!?])")
_SUPPORTING_ROLES = ("ally", "rival", "elder")


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What the story turns on: "silver compass"."""

    adjective: str
    noun: str

    @property
    def name(self) -> str:
        return f"{self.adjective} {self.noun}"


class OfflineWriter:
    """Writes from the material of the subscriber's genre, place and character."""

    name = "offline"

    def limits(self, brief: Brief) -> Limits:
        """The same for everybody: its material is English, and of one length."""
        return Limits.around(USUAL_LENGTH, "English")

    def write(self, brief: Brief, desk: Desk) -> Story:
        """Tell the story of this subscriber's day, in one step that asks nobody."""
        material = material_for(brief.genre)
        dice = Dice(f"{brief.user_id}/{brief.local_date.isoformat()}")
        chosen = _chosen_entries(material, brief)
        place = _place(material, brief, dice)
        slots = _slots(chosen, place, _people(material, brief, dice))
        thing, title = _thing_and_title(material, brief, place, slots, dice)
        slots |= {
            "thing": thing.name,
            "noun": thing.noun,
            "a_noun": f"{article(thing.noun)} {thing.noun}",
            "a_thing": f"{article(thing.name)} {thing.name}",
        }
        scenes = [chosen[group].scenes[piece].fill(slots, dice) for group, piece in material.spine]
        body = "\n\n".join(filter(None, [place.picture, *scenes]))
        return Story(title=title, body=_DOUBLED_COMMA.sub("", body), writer=self.name)


def _chosen_entries(material: Material, brief: Brief) -> dict[str, Entry]:
    sizes = [len(entries) for entries in material.groups.values()]
    found = picks(sizes, day=brief.local_date.toordinal(), who=f"{brief.user_id}/{material.genre}/scenes")
    return {
        group: entries[index] for (group, entries), index in zip(material.groups.items(), found, strict=True)
    }


def _place(material: Material, brief: Brief, dice: Dice) -> Place:
    setting = clean_phrase(brief.setting)
    return read_place(setting) if setting else known_place(dice.choose(material.towns))


def _people(material: Material, brief: Brief, dice: Dice) -> dict[str, Person]:
    """The cast by role; no two of them share a first letter, as far as the names allow."""
    sketch = read_character(clean_phrase(brief.character))
    invented = invent(material.she, material.he, sketch.pronouns, taken=[], dice=dice)
    hero = lead(sketch, invented, dice.choose(material.surnames), dice.choose(material.trades))
    people = {"hero": hero}
    for role in _SUPPORTING_ROLES:
        wanted = {"she": SHE, "he": HE}.get(material.fixed.get(role, ""))
        taken = [person.name for person in people.values()]
        people[role] = invent(material.she, material.he, wanted, taken=taken, dice=dice)
    return people


def _slots(chosen: Mapping[str, Entry], place: Place, people: Mapping[str, Person]) -> dict[str, str]:
    slots = {"town": place.name, "in_town": place.within, "in_setting": place.within_first}
    for entry in chosen.values():
        slots |= entry.words
    for role, person in people.items():
        slots |= person.slots(role)
    hero = people["hero"]
    return slots | vars(hero.pronouns) | {"intro": hero.introduction}


def _thing_and_title(
    material: Material, brief: Brief, place: Place, slots: Mapping[str, str], dice: Dice
) -> tuple[Thing, str]:
    """The first thing and title on the subscriber's walk that no earlier story had."""
    past = {" ".join(title.casefold().split()) for title in brief.past_titles}
    patterns = [t for t in material.titles if place.proper or "town" not in t.gaps]
    offers = _offers(material, brief, dice.shuffled(patterns), slots, dice)
    return next((thing, title) for thing, title in offers if title.casefold() not in past)


def _offers(
    material: Material, brief: Brief, patterns: Sequence[Template], slots: Mapping[str, str], dice: Dice
) -> Iterator[tuple[Thing, str]]:
    """Titles without end: every thing under the day's first pattern, then under the others, then numbered."""
    sizes = (len(material.nouns), len(material.adjectives))
    today, who = brief.local_date.toordinal(), f"{brief.user_id}/{material.genre}/things"
    for number in count(1):
        for pattern, ahead in product(patterns, range(prod(sizes))):
            noun, adjective = picks(sizes, day=today + ahead, who=who)
            thing = Thing(adjective=material.adjectives[adjective], noun=material.nouns[noun])
            title = _title(pattern, thing, slots, dice)
            yield thing, title if number == 1 else f"{title} ({number})"


def _title(pattern: Template, thing: Thing, slots: Mapping[str, str], dice: Dice) -> str:
    name = title_cased(thing.name)
    words = {"thing": name, "a_thing": f"{article(name)} {name}", "town": title_cased(slots["town"])}
    return capitalised(pattern.fill({**slots, **words}, dice))
