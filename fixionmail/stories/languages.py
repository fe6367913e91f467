"""Telling which language a text is in, as far as a wrong one must be noticed: by script, or by its smallest words."""

from __future__ import annotations

import re
from collections import Counter

_SMALL_WORDS = {
    "English": "the and of to in was that he she it his her with had for on as at but not they were from you said",
    "German": "der die und das ist nicht ein eine sich mit den dem sie er es auf für war von hatte als auch zu im",
    "French": "le la les et des un une est dans que qui elle il pas pour sur avec était ne se au du son ses",
    "Spanish": "el la los las y de que en un una es con no por se su para como más pero había era ella sus al",
    "Italian": "il la che di e un una non per con si era del della sono come più ma lo gli aveva nel alla suo",
    "Portuguese": "o a os as e de que em um uma não com para se do da por era como mais mas ela ele seu ao",
    "Dutch": "de het een en van in is dat niet op te zijn met voor hij ze was aan er maar haar naar had om",
    "Polish": "i w na z że się nie do to jest jak ale był była po za jego jej tak już przez gdy od było",
    "Swedish": "och att det i en som på är av för med den till inte hon han var ett om sig hade men sin från",
}
_BY_SMALL_WORDS = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
_SCRIPTS = {
    "Japanese": "\u3040-\u30ff\u4e00-\u9fff",
    "Chinese": "\u4e00-\u9fff",
    "Korean": "\uac00-\ud7af\u1100-\u11ff",
    "Russian": "\u0400-\u04ff",
    "Greek": "\u0370-\u03ff",
    "Arabic": "\u0600-\u06ff",
}
_IN_SCRIPT = {language: re.compile(f"[{letters}]") for language, letters in _SCRIPTS.items()}
_KANA = re.compile("[\u3040-\u30ff]")
_NO_SPACES = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_WORD = re.compile(r"[^\W\d_]+")
_ENOUGH_WORDS = 60
_CLEARLY_MORE = 1.5
_WORTH_COUNTING = 0.1
_CHARACTERS_PER_WORD = 1.7
"""Of Chinese and Japanese, which do not part words."""


def count_words(text: str) -> int:
    """Words, whatever the script."""
    unparted = len(_NO_SPACES.findall(text))
    if not unparted:
        return len(text.split())
    return len(_NO_SPACES.sub(" ", text).split()) + round(unparted / _CHARACTERS_PER_WORD)


def is_other_language(text: str, wanted: str) -> str | None:
    """What ``text`` is written in when that is clearly not ``wanted``; None when it may be right."""
    script = _main_script(text)
    if wanted in _IN_SCRIPT:
        if script == "Latin":
            return "another script"
        return None if _fits_script(text, wanted) else "another script"
    if script != "Latin":
        return script
    return _other_by_small_words(text, wanted)


def _main_script(text: str) -> str:
    counts = {language: len(pattern.findall(text)) for language, pattern in _IN_SCRIPT.items()}
    counts["Latin"] = len(_LATIN.findall(text))
    return max(counts, key=lambda name: (counts[name], name == "Latin"))


def _fits_script(text: str, wanted: str) -> bool:
    has_kana = bool(_KANA.search(text))
    if wanted in ("Chinese", "Japanese") and has_kana != (wanted == "Japanese"):
        return False
    letters = len(_WORD.findall(text)) and sum(map(len, _WORD.findall(text)))
    return len(_IN_SCRIPT[wanted].findall(text)) * 2 >= letters


def _other_by_small_words(text: str, wanted: str) -> str | None:
    words = Counter(word.casefold() for word in _WORD.findall(text))
    total = words.total()
    if total < _ENOUGH_WORDS:
        return None
    shares = {
        language: sum(words[word] for word in small) / total for language, small in _BY_SMALL_WORDS.items()
    }
    best = max(shares, key=lambda language: shares[language])
    is_other = shares[best] > _WORTH_COUNTING and shares[best] > _CLEARLY_MORE * shares.get(wanted, 0.0)
    return best if is_other and best != wanted else None
