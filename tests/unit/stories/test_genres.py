"""The genre files hold together: every gap can be filled, no sentence comes twice, and there are titles for years."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain

import pytest

from fixionmail.stories.tale.cast import SHE, Person
from fixionmail.stories.tale.material import Material, genres, load, material_for
from fixionmail.stories.tale.template import Template

ALL = [load(genre) for genre in genres()]
ROLES = ("hero", "ally", "rival", "elder")
KNOWN_GAPS = {
    *("intro", "thing", "a_thing", "noun", "a_noun", "town", "in_town", "in_setting"),
    *vars(SHE),
    *chain.from_iterable(Person(name="", introduction="", pronouns=SHE).slots(role) for role in ROLES),
}


def scenes(material: Material) -> list[Template]:
    return [
        scene for entries in material.groups.values() for entry in entries for scene in entry.scenes.values()
    ]


@pytest.mark.parametrize("material", ALL, ids=genres())
def test_every_gap_of_every_entry_can_be_filled(material: Material) -> None:
    words = {name for entries in material.groups.values() for entry in entries for name in entry.words}
    asked = set[str]().union(*(scene.gaps for scene in [*scenes(material), *material.titles]))
    assert asked <= KNOWN_GAPS | words


@pytest.mark.parametrize("material", ALL, ids=genres())
def test_the_entries_of_a_group_offer_the_same_pieces(material: Material) -> None:
    for group, entries in material.groups.items():
        told = {piece for name, piece in material.spine if name == group}
        assert all(set(entry.scenes) == told for entry in entries), group
        assert len({frozenset(entry.words) for entry in entries}) == 1, group


@pytest.mark.parametrize("material", ALL, ids=genres())
def test_the_opening_introduces_the_hero_and_the_setting_once(material: Material) -> None:
    for entry in material.groups["opening"]:
        text = "".join(piece for pieces in entry.scenes["text"].pieces for piece in pieces).lower()
        assert text.count("{intro}") == text.count("{in_setting}") == 1, text


@pytest.mark.parametrize("material", ALL, ids=genres())
def test_no_sentence_stands_in_two_entries(material: Material) -> None:
    sentences = Counter(chain.from_iterable(set(_sentences(scene)) for scene in scenes(material)))
    assert [sentence for sentence, times in sentences.items() if times > 1] == []


@pytest.mark.parametrize("material", ALL, ids=genres())
def test_no_article_stands_before_a_gap_that_brings_its_own_sound(material: Material) -> None:
    text = " ".join(piece for scene in scenes(material) for pieces in scene.pieces for piece in pieces)
    assert re.findall(r"\b[Aa]n? \{(?:thing|noun)\}", text) == []


@pytest.mark.parametrize("material", ALL, ids=genres())
def test_there_are_things_for_more_than_400_titles(material: Material) -> None:
    assert len(set(material.nouns)) * len(set(material.adjectives)) > 400


@pytest.mark.parametrize("material", ALL, ids=genres())
def test_names_are_enough_for_a_cast_without_doubles(material: Material) -> None:
    assert len(set(material.she)) == len(material.she) >= 8
    assert len(set(material.he)) == len(material.he) >= 8
    assert not set(material.she) & set(material.he)


def test_no_two_genres_answer_to_one_name() -> None:
    names = Counter(alias for material in ALL for alias in material.aliases)
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize(
    ("said", "genre"),
    [
        ("mystery", "mystery"),
        ("Science Fiction", "science_fiction"),
        ("sci-fi!", "science_fiction"),
        ("a dark ROMANCE, please", "romance"),
        ("cosy detective story", "mystery"),
        ("historical fiction", "historical"),
        ("Fantasy / dragons", "fantasy"),
        ("humour", "comedy"),
        ("gothic", "horror"),
        ("pirates", "adventure"),
        ("fiction", "everyday"),
        ("", "everyday"),
        ("blorptastic", "everyday"),
        ("romancer", "everyday"),
        ("🐙\x00" * 5_000, "everyday"),
    ],
)
def test_what_a_subscriber_calls_a_genre_is_understood(said: str, genre: str) -> None:
    assert material_for(said).genre == genre


def test_a_stray_bracket_in_a_template_is_an_error() -> None:
    with pytest.raises(ValueError, match="Stray bracket"):
        Template.parse("once {upon a time")


def _sentences(scene: Template) -> list[str]:
    text = "".join(f"[{'|'.join(pieces)}]" if len(pieces) > 1 else pieces[0] for pieces in scene.pieces)
    return [s for s in re.split(r"(?<=[.!?”])\s+", text.lower()) if len(s.split()) > 3]
