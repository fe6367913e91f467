"""What a text must be before it can be mailed. Pure functions: a text goes in, what is wrong with it comes out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fixionmail.stories.languages import count_words, is_other_language
from fixionmail.stories.prompts import TAGS
from fixionmail.stories.writer import Limits

LONGEST_TITLE = 200
"""Characters."""
_FAR_TOO_LONG = 60_000
"""Characters, beyond which nothing else is looked at."""
_REFUSAL_WITHIN = 400
_REPEATED = 3
_LONG_PARAGRAPH = 40

_MARKUP = re.compile(
    r"</?[a-z][^<>\n]{0,200}>"  # HTML
    r"|^\s{0,3}#{1,6}\s"  # a Markdown heading
    r"|\*\*[^*\n]{1,300}\*\*|(?<!\w)__[^_\n]{1,300}__(?!\w)"  # bold
    r"|```"
    r"|\[[^\]\n]{1,200}\]\([^)\n]{1,300}\)"  # a link
    r"|&(?:[a-z]{2,8}|#\d{1,6});",
    re.IGNORECASE | re.MULTILINE,
)
_PLACEHOLDER = re.compile(
    r"\{\{[^}\n]{0,100}\}\}|\{%[^%\n]{0,100}%\}|\$\{[^}\n]{0,100}\}|\{[a-z_]{2,40}\}"
    r"|\[(?:insert|your|name|title|character|todo|tbd|placeholder|hero|protagonist|city|setting)\b[^\]\n]{0,100}\]"
    r"|\b(?:TODO|TBD|FIXME)\b|\blorem ipsum\b",
    re.IGNORECASE,
)
_LINK = re.compile(r"\bhttps?://|\bwww\.\w|[\w.+-]{1,64}@[\w-]{1,63}\.\w{2,}", re.IGNORECASE)
_OURS = re.compile("|".join(TAGS), re.IGNORECASE)
_TALK = re.compile(
    r"^(?:sure|certainly|of course|absolutely|here(?:'s|’s| is| are))\b[^\n]{0,120}(?:story|draft|version|text|tale)\b"
    r"[^\n]{0,80}$"
    r"|^\(?(?:word count|words|end of story)\s*[:=]"
    r"|^beats?\s*\d+\s*:|^(?:system|user|assistant|title|plot)\s*:"
    r"|\bas an ai (?:language )?model\b|\bmy (?:instructions|system prompt|guidelines)\b",
    re.IGNORECASE | re.MULTILINE,
)
_SORRY = re.compile(
    r"^\W{0,3}(?:i(?:'|’)?m (?:very |so )?sorry|i am (?:very |so )?sorry|sorry,|i apologi[sz]e|i can(?:'|’)?t|i cannot"
    r"|i(?:'|’)m (?:unable|not able)|i am (?:unable|not able)|i won(?:'|’)t|i must decline|unfortunately,? i"
    r"|es tut mir leid|leider kann ich|je suis désolé|je ne peux pas|lo siento|mi dispiace|desculpe|het spijt me)",
    re.IGNORECASE,
)
_DECLINING = re.compile(
    r"\b(?:can(?:no|'|’)?t|cannot|won(?:'|’)?t|unable|not able|decline|kann|peux pas|puedo|posso|kan)\b[^\n]{0,80}"
    r"\b(?:help|assist|write|create|continue|generate|provide|comply|fulfil+|produce|request|schreiben|helfen|écrire"
    r"|aider|escribir|ayudar|scrivere|aiutare|escrever|ajudar|schrijven|helpen)",
    re.IGNORECASE,
)
_END = re.compile(
    r"[.!?…。！？؟;·]$|^\W{0,3}(?:the end|ende|fin|fine|fim|einde|slut|koniec)\W{0,3}$", re.IGNORECASE
)
_CLOSING = "\"'”’»«›‹)]}」』*_ "
_SCENE_BREAK = re.compile(r"[\W_]{1,12}")


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What one gate says; ``problem`` is None when the text passes it."""

    gate: str
    problem: str | None


def title_problem(title: str, past_titles: Sequence[str]) -> str | None:
    """What is wrong with a cleaned title, for a subscriber who has had those titles."""
    if not title:
        return "it has no title"
    if "\n" in title:
        return "its title runs over several lines"
    if len(title) > LONGEST_TITLE:
        return f"its title has {len(title)} characters, more than {LONGEST_TITLE}"
    if same(title) in {same(past) for past in past_titles}:
        return f"the subscriber has already had a story called {title!r}"
    if found := _found(_leftovers(title)):
        return f"its title holds {found}"
    return None


def text_problems(body: str, limits: Limits) -> list[str]:
    """What is wrong with a cleaned text, worst first; empty when it can be mailed."""
    return [result.problem for result in text_results(body, limits) if result.problem]


def text_results(body: str, limits: Limits) -> list[GateResult]:
    """What each gate says of a cleaned text; those behind one that makes them pointless are not asked."""
    first = GateResult(gate="there is a text", problem=None if body else "it is empty")
    if first.problem:
        return [first]
    refusal = GateResult(
        gate="the model did not decline",
        problem="the model declined to write it" if is_refusal(body) else None,
    )
    if refusal.problem:
        return [first, refusal]
    if len(body) > _FAR_TOO_LONG:
        return [GateResult(gate="length", problem=f"it has {len(body)} characters, far too many")]
    return [
        first,
        refusal,
        GateResult(gate="length", problem=_wrong_length(body, limits)),
        GateResult(gate="a complete ending", problem=ending_problem(body)),
        GateResult(gate="nothing left over", problem=_found(_leftovers(body))),
        GateResult(gate="no loop", problem=_loop(body)),
        GateResult(gate="language", problem=_wrong_language(body, limits)),
    ]


def is_refusal(body: str) -> bool:
    """Whether a text says that there will be none, instead of being one."""
    opening = body[:_REFUSAL_WITHIN]
    return bool(_SORRY.search(opening) and _DECLINING.search(opening))


def same(title: str) -> str:
    """Titles that differ only in letter case or spacing are the same title."""
    return " ".join(title.casefold().split())


def _wrong_length(body: str, limits: Limits) -> str | None:
    words = count_words(body)
    if limits.fewest_words <= words <= limits.most_words:
        return None
    return f"it has {words} words, and {limits.fewest_words} to {limits.most_words} are wanted"


def _wrong_language(body: str, limits: Limits) -> str | None:
    other = is_other_language(body, limits.language)
    return f"it is to be in {limits.language} and is in {other}" if other else None


def ending_problem(body: str) -> str | None:
    """Whether a cleaned text just stops; None when its last sentence ends."""
    lines = [line for line in body.split("\n") if line.strip() and not _SCENE_BREAK.fullmatch(line.strip())]
    last = lines[-1].strip() if lines else ""
    if _END.search(last.rstrip(_CLOSING)):
        return None
    return f"it breaks off: its last words are {last[-40:]!r}"


def _leftovers(text: str) -> Iterator[str | None]:
    yield _left("markup", _MARKUP, text)
    yield _left("a placeholder", _PLACEHOLDER, text)
    yield _left("a link or an address", _LINK, text)
    yield _left("words of our instructions", _OURS, text)
    yield _left("words about the story instead of the story", _TALK, text)


def _found(problems: Iterator[str | None]) -> str | None:
    return next(filter(None, problems), None)


def _left(what: str, pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return f"{what}: {found[0].strip()[:60]!r}" if found else None


def _loop(body: str) -> str | None:
    paragraphs = Counter(part.strip() for part in body.split("\n") if len(part.strip()) >= _LONG_PARAGRAPH)
    paragraph, times = paragraphs.most_common(1)[0] if paragraphs else ("", 0)
    return f"it says {times} times {paragraph[:40]!r}" if times >= _REPEATED else None
