"""The plan of a story: read from a model's answer, checked, and turned into what the bible learns from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fixionmail.models.stories import Brief, CastMember
from fixionmail.stories.clean import clean_text
from fixionmail.stories.gates import same, title_problem

_FEWEST_BEATS, _MOST_BEATS, _MOST_PEOPLE, _MOST_CAST = 3, 12, 8, 3
_LONGEST_PLOT, _LONGEST_BEAT, _LONGEST_NAME, _LONGEST_ROLE = 800, 600, 60, 200
_TOO_ALIKE = 0.8
_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")


class UnfitAnswerError(Exception):
    """An answer came, and is not what its step needs; the message is what the model is told."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A checked plan. ``people`` are in the order in which the model names them."""

    title: str
    plot: str
    people: tuple[CastMember, ...]
    beats: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is kept, and shown to the model again."""
        return {
            "title": self.title,
            "plot": self.plot,
            "characters": [{"name": person.name, "role": person.role} for person in self.people],
            "beats": list(self.beats),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Plan:
        """What :meth:`to_json` made."""
        return cls(
            title=kept["title"],
            plot=kept["plot"],
            people=tuple(CastMember(name=p["name"], role=p["role"]) for p in kept["characters"]),
            beats=tuple(kept["beats"]),
        )

    def cast_after(self, brief: Brief) -> tuple[CastMember, ...]:
        """Who comes back from now on: the first story's leading people, and they stay."""
        return brief.cast or self.people[:_MOST_CAST]

    def new_names(self, brief: Brief) -> tuple[str, ...]:
        """Names that must not come again: those of people who are not of the cast."""
        lasting = {same(person.name) for person in self.cast_after(brief)}
        return tuple(person.name for person in self.people if same(person.name) not in lasting)


def read_plan(text: str, brief: Brief) -> Plan:
    """Read and check a model's answer.

    Raises:
        UnfitAnswerError: it is no plan for this subscriber.
    """
    fields = _object(text)
    plan = Plan(
        title=_line(fields, "title", 10_000),
        plot=_line(fields, "plot", _LONGEST_PLOT),
        people=_people(fields),
        beats=_beats(fields),
    )
    problem = title_problem(plan.title, brief.past_titles) or _told_before(plan, brief)
    if problem:
        raise UnfitAnswerError(problem)
    return plan


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(_FENCE.sub("", text))
    except (ValueError, RecursionError):
        raise UnfitAnswerError("it is not JSON") from None
    if not isinstance(found, dict):
        raise UnfitAnswerError("it is not a JSON object")
    return found


def _line(fields: Mapping[str, Any], name: str, longest: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise UnfitAnswerError(f"its {name} is not text")
    line = " ".join(clean_text(value).split())
    if not line:
        raise UnfitAnswerError(f"its {name} is empty")
    if len(line) > longest:
        raise UnfitAnswerError(f"its {name} has {len(line)} characters, more than {longest}")
    return line


def _list(fields: Mapping[str, Any], name: str, fewest: int, most: int) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list) or not fewest <= len(value) <= most:
        raise UnfitAnswerError(f"it needs {fewest} to {most} {name}")
    return value


def _people(fields: Mapping[str, Any]) -> tuple[CastMember, ...]:
    people = _list(fields, "characters", 1, _MOST_PEOPLE)
    if not all(isinstance(person, dict) for person in people):
        raise UnfitAnswerError("its characters are not objects")
    return tuple(
        CastMember(name=_line(person, "name", _LONGEST_NAME), role=_line(person, "role", _LONGEST_ROLE))
        for person in people
    )


def _beats(fields: Mapping[str, Any]) -> tuple[str, ...]:
    beats = _list(fields, "beats", _FEWEST_BEATS, _MOST_BEATS)
    return tuple(_line({"beat": beat}, "beat", _LONGEST_BEAT) for beat in beats)


def _told_before(plan: Plan, brief: Brief) -> str | None:
    if any(_alike(plan.plot, past) for past in brief.past_plots):
        return "its plot was told before"
    past = {same(name) for name in brief.past_names}
    again = [name for name in plan.new_names(brief) if same(name) in past]
    if again:
        return f"{again[0]!r} was somebody else's name in an earlier story"
    return None


def _alike(plot: str, other: str) -> bool:
    words, others = set(same(plot).split()), set(same(other).split())
    return len(words & others) >= _TOO_ALIKE * len(words | others)
