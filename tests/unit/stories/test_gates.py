"""What a text must be before it can be mailed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixionmail.models.stories import Brief
from fixionmail.stories.clean import clean_text
from fixionmail.stories.desk import Desk
from fixionmail.stories.gates import LONGEST_TITLE, is_refusal, text_problems, text_results, title_problem
from fixionmail.stories.languages import count_words
from fixionmail.stories.prompts import TAGS
from fixionmail.stories.providers.offline import OfflineWriter
from fixionmail.stories.writer import Limits
from tests.unit.stories.briefs import brief

LIMITS = Limits.around(900, "English")
STORY = OfflineWriter().write(brief("mystery"), Desk()).body
PARAGRAPHS = STORY.split("\n\n")


def problems(body: str, limits: Limits = LIMITS) -> str:
    return "; ".join(text_problems(clean_text(body), limits))


def with_inside(text: str) -> str:
    """A sound story with ``text`` as a paragraph in its middle."""
    middle = len(PARAGRAPHS) // 2
    return "\n\n".join([*PARAGRAPHS[:middle], text, *PARAGRAPHS[middle:]])


def test_a_sound_story_passes_every_gate() -> None:
    assert problems(STORY) == ""
    assert len(text_results(STORY, LIMITS)) >= 7


@pytest.mark.parametrize("genre", ["fantasy", "horror", "romance", "comedy", "science fiction", "adventure"])
@pytest.mark.parametrize("day", range(5))
def test_the_offline_writers_stories_pass_every_gate(genre: str, day: int) -> None:
    told: Brief = brief(genre, day=day)
    assert problems(OfflineWriter().write(told, Desk()).body) == ""


@given(words=st.integers(1, 3_000), length=st.integers(300, 3_000))
def test_a_text_passes_the_gate_of_length_exactly_within_its_bounds(words: int, length: int) -> None:
    limits = Limits.around(length, "English")
    found = problems("word " * (words - 1) + "end.", limits)
    assert ("words, and" in found) == (not limits.fewest_words <= words <= limits.most_words)


@given(st.integers(1, len(STORY) - 1))
def test_a_story_that_breaks_off_in_the_middle_of_a_word_never_passes(at: int) -> None:
    cut = STORY[:at]
    if cut[-1].isalnum() and STORY[at].isalnum():
        assert "breaks off" in problems(cut)


@pytest.mark.parametrize(
    "ending", ["he said.", "“Yes!”", "done?)", "gone…", "THE END", "完。", "finis.\n\n* * *", "‘No.’"]
)
def test_a_sentence_that_ends_is_an_ending(ending: str) -> None:
    assert "breaks off" not in problems(f"{STORY}\n\n{ending}")


@pytest.mark.parametrize("ending", ["he said", "and then,", "she opened the", "a list:", "“Yes,", "word-"])
def test_a_sentence_that_does_not_end_is_none(ending: str) -> None:
    assert "breaks off" in problems(f"{STORY}\n\n{ending}")


MARKUP = st.sampled_from(
    [
        "<b>bold</b>",
        "<script>alert(1)</script>",
        "<img src=x onerror=y>",
        "# Chapter",
        "**bold**",
        "```",
        "&amp;",
        "[here](http://x)",
        "<br/>",
        "__under__",
    ]
)
PLACEHOLDERS = st.sampled_from(
    [
        "{{name}}",
        "[insert name]",
        "[Your Name]",
        "{hero_name}",
        "${title}",
        "TODO",
        "{% if x %}",
        "Lorem ipsum",
        "[TBD]",
    ]
)
CHATTER = st.sampled_from(
    [
        "Here is the story you asked for:",
        "Sure! Here's a short story about a lamp.",
        "Word count: 900",
        "Beat 3: the lamp",
        "As an AI language model I enjoy this.",
        "System: obey",
        "These are my instructions.",
    ]
)
LINKS = st.sampled_from(
    ["https://evil.example/x", "http://a.b", "www.evil.example", "mail me at eve@evil.example"]
)
OURS = st.sampled_from([f"<{tag}>" for tag in TAGS] + [tag.upper() for tag in TAGS])


@given(st.one_of(MARKUP, PLACEHOLDERS, CHATTER, LINKS, OURS), st.integers(0, len(PARAGRAPHS)))
def test_what_does_not_belong_in_a_story_is_found_wherever_it_stands(leftover: str, at: int) -> None:
    body = "\n\n".join([*PARAGRAPHS[:at], leftover, *PARAGRAPHS[at:], "The lamp went out."])
    assert problems(body) != ""


@pytest.mark.parametrize(
    "innocent",
    [
        "I'm sorry, she said, and meant it.",
        "“I can’t help you,” said the captain, “but I can write you a letter.”",
        "He drew a heart, <3, on the glass; 5 > 3, she said, and 2 * 3 * 4 is 24.",
        "The sign read [closed] in red letters.",
        "“Here’s the key,” he said.",
        "Her instructions were simple: wait.",
        "It cost $5 & a smile.",
    ],
)
def test_what_belongs_in_a_story_is_left_alone(innocent: str) -> None:
    assert problems(with_inside(innocent)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that request.",
        "I’m sorry, but I can’t write this story.",
        "I cannot assist with creating that kind of content.",
        "I am unable to continue this story.",
        "Unfortunately, I can't generate that.",
        "Es tut mir leid, aber ich kann diese Geschichte nicht schreiben.",
        "Je suis désolé, mais je ne peux pas écrire cette histoire.",
        "Lo siento, pero no puedo escribir esa historia.",
    ],
)
def test_a_refusal_is_told_as_one_whatever_follows(text: str) -> None:
    assert is_refusal(text)
    assert problems(f"{text}\n\n{STORY}") == "the model declined to write it"


def test_a_text_that_says_the_same_again_and_again_is_a_loop() -> None:
    assert "it says 3 times" in problems("\n\n".join([PARAGRAPHS[0], *PARAGRAPHS[:2], *PARAGRAPHS[:1]]))


LANGUAGES = {
    "German": "Der Mann ging mit dem Hund durch die Stadt und sah, dass es nicht mehr regnete, aber sie war noch da. ",
    "French": "La femme est dans la rue avec un chien et elle ne voit pas que le soir est sur la ville, qui se tait. ",
    "Spanish": "El hombre no sabe que la mujer se fue con las cartas y los libros de su casa, pero no era como antes. ",
    "Russian": "Человек шёл по улице и думал о том, что дождь уже кончился, а она всё ещё ждала его у окна. ",
    "Japanese": "その男は雨の中を歩きながら、彼女がまだ窓のそばで待っていることを考えていた。",
    "Chinese": "那个人在雨中走着,想着她还在窗边等他,城市里一片安静,灯光慢慢地亮了起来。",
    "Arabic": "مشى الرجل في الشارع وهو يفكر في المطر الذي توقف وفي المرأة التي ما زالت تنتظر عند النافذة. ",
    "English": "The man walked through the town with his dog and saw that it did not rain, but she was still there. ",
}


@pytest.mark.parametrize("wanted", LANGUAGES)
@pytest.mark.parametrize("written", LANGUAGES)
def test_a_story_in_another_language_is_refused_and_one_in_the_right_one_is_not(
    written: str, wanted: str
) -> None:
    limits = Limits(fewest_words=1, most_words=10_000, language=wanted)
    lines = "\n\n".join(f"{number}. {LANGUAGES[written] * 3}" for number in range(8))
    assert ("it is to be in" in problems(lines, limits)) == (written != wanted)


def test_words_are_counted_in_scripts_that_do_not_part_them() -> None:
    assert 15 <= count_words(LANGUAGES["Chinese"]) <= 30
    assert count_words("four words, no more") == 4


@given(st.text(max_size=3_000))
def test_no_text_makes_a_gate_fail_in_itself(text: str) -> None:
    text_results(clean_text(text), LIMITS)
    title_problem(clean_text(text), ["The Lamp"])


@pytest.mark.parametrize(
    "piece", ["<a", "[", "{{", "**", "__", "I'm sorry ", "a@", "http", "&", "(", "# ", "\n"]
)
def test_a_hostile_text_of_any_length_is_judged_at_once(piece: str) -> None:
    import time

    begun = time.process_time()
    assert text_problems(clean_text(piece * (200_000 // len(piece)) + "x"), LIMITS)
    assert text_problems(clean_text(piece * (59_000 // len(piece)) + "x"), LIMITS)
    assert time.process_time() - begun < 5


class TestTitles:
    @given(st.text(min_size=1, max_size=LONGEST_TITLE + 50), st.booleans())
    def test_a_title_that_was_had_before_is_refused_in_any_spelling(self, text: str, shout: bool) -> None:
        title = " ".join(clean_text(text).split())
        again = title.upper() if shout and title.upper().casefold() == title.casefold() else f" {title}  "
        assert title_problem(title, [again]) is not None

    @pytest.mark.parametrize(
        "title", ["<b>The Lamp</b>", "[Title]", "{{title}}", "See www.evil.example", "**Lamp**"]
    )
    def test_a_title_with_leftovers_is_refused(self, title: str) -> None:
        assert title_problem(title, []) is not None
