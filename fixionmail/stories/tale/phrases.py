"""Short phrases from subscribers, made safe to stand in a sentence, and the small grammar they need."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 60
"""Characters kept of a subscriber's phrase, cut at a word."""

_LINK = re.compile(r"\S*(?:://|www\.|@)\S*", re.IGNORECASE)
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^<>]*>", re.IGNORECASE | re.DOTALL)
_KEPT_MARKS = "’'-,& "
_SOUNDS_LIKE_A_CONSONANT = re.compile(r"one\b|once\b|eu|uni(?!n|m)|us[eu]|uto", re.IGNORECASE)
_SOUNDS_LIKE_A_VOWEL = re.compile(r"[aeiou]|honest|honou?r|hour|heir", re.IGNORECASE)


def clean_phrase(text: str) -> str:
    """A short phrase of letters, digits and spaces out of whatever a subscriber typed; empty when none is left."""
    text = unicodedata.normalize("NFC", _LINK.sub(" ", _TAG.sub(" ", text[:1_000])))
    first_sentence = re.split(r"[.!?;:\n\r]", text.strip(), maxsplit=1)[0]
    kept = "".join(c if _may_stay(c) else " " for c in first_sentence).replace("'", "’")
    words = re.sub(r"\s+,", ",", kept).split()
    while words and len(" ".join(words)) > LONGEST:
        words.pop()
    phrase = " ".join(words).strip("’-,& ")
    return phrase if any(c.isalpha() for c in phrase) else ""


def article(phrase: str) -> str:
    """``a`` or ``an``, by sound."""
    if _SOUNDS_LIKE_A_CONSONANT.match(phrase):
        return "a"
    return "an" if _SOUNDS_LIKE_A_VOWEL.match(phrase) else "a"


def capitalised(phrase: str) -> str:
    """With the first letter as a capital and nothing else changed."""
    return phrase[:1].upper() + phrase[1:]


def title_cased(phrase: str) -> str:
    """With every word's first letter as a capital and nothing else changed."""
    return " ".join(capitalised(word) for word in phrase.split(" "))


def _may_stay(character: str) -> bool:
    return character in _KEPT_MARKS or unicodedata.category(character)[0] in "LMN"
