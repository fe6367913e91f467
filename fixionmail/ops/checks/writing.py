"""The lines to the providers of stories: one that stands still, and a day's budget that is spent."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fixionmail.models.operations import BUDGET_LINE, is_story_line
from fixionmail.ops.checks.scene import Scene
from fixionmail.ops.views.database import LineView
from fixionmail.ops.views.findings import Cure, Finding, Harm

_KEY_WORDS = re.compile(r"\b(?:401|403)\b|api.?key|credit|\b404\b", re.IGNORECASE)
_AUTOMATIC = "each waiting story is tried again within five minutes of the pause's end"


def check(scene: Scene) -> Iterator[Finding]:
    """Why stories are not written that could be."""
    for line in scene.deliveries.lines if scene.deliveries else ():
        if line.paused_reason and is_story_line(line.name):
            yield _spent(line) if line.name == BUDGET_LINE else _standing(line)


def _spent(line: LineView) -> Finding:
    return Finding(
        kind="story-budget",
        harm=Harm.LATE,
        title="The daily budget for stories is spent",
        cause=line.paused_reason,
        evidence=(_until(line),),
        subjects=(line.name,),
        cures=(
            Cure(label="raise it", command="STORY_DAILY_BUDGET_USD"),
            _opening(line, "write on, once it is raised"),
            Cure(label="see what the stories cost", command="fixionmail stories list"),
        ),
        drill=23,
    )


def _standing(line: LineView) -> Finding:
    name = line.name.removeprefix(f"{BUDGET_LINE}/")
    ours = bool(_KEY_WORDS.search(line.paused_reason))
    mend = Cure(label="correct the key, the model or the account", command=f"{name.upper()}_API_KEY=<key>")
    return Finding(
        kind="story-line",
        harm=Harm.LATE if ours else Harm.COST,
        title=f"{name} {'refuses to write for us' if ours else 'is overloaded or limits us'}",
        cause=line.paused_reason,
        evidence=(_until(line),),
        subjects=(line.name,),
        cures=(mend, _opening(line, "try again, once that is right"))
        if ours
        else (_opening(line, "try again now"),),
        drill=23,
    )


def _opening(line: LineView, words: str) -> Cure:
    return Cure(label=words, action="open-line", targets=(line.name,), automatic=_AUTOMATIC)


def _until(line: LineView) -> str:
    until = f" until {line.paused_until:%Y-%m-%d %H:%M:%S} UTC" if line.paused_until else ""
    return f"the line stands still{until}"
