"""What a language model of a stand-in writes: plans and stories that pass for ones, made from the prompt alone.

The same prompt brings another plan each time, as from a real model; a draft follows the plan in its prompt, and an
edited text is the draft in its prompt, or one told anew when that was not accepted.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from typing import Any
from uuid import UUID

from fixionmail.models.stories import Brief
from fixionmail.stories.desk import Desk
from fixionmail.stories.providers.offline import OfflineWriter
from tests.unit.stories.briefs import FIRST_DAY

_SYLLABLES = [first + last for first in "bdfgklmnprstvz" for last in "aeio"]


class Novelist:
    """Writes one answer for each prompt. Safe to use from many threads."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answer(self, material: str, *, wants_plan: bool) -> str:
        """The text of a whole answer."""
        if wants_plan:
            with self._lock:
                self._asked[material] += 1
                number = self._asked[material]
            return json.dumps(_plan(material, random.Random(f"{number}/{material}")))
        draft = _tagged(material, "story_draft")
        mends = _tagged(material, "not_accepted") is not None
        return str(draft) if draft is not None and not mends else _tell(str(_tagged(material, "story_plan")))


def step_of(material: str, *, wants_plan: bool) -> str:
    """Which step of ours asks."""
    if wants_plan:
        return "plan"
    return "edit" if _tagged(material, "story_draft") is not None else "draft"


def _plan(material: str, dice: random.Random) -> dict[str, Any]:
    wishes = _tagged(material, "reader_wishes") or {}
    cast = wishes.get("recurring cast", [])
    new = [{"name": _name(dice), "role": role} for role in ("a stranger", "a neighbour")]
    names = [person["name"] for person in (*cast, *new)]
    return {
        "title": f"{_name(dice)} and the {_name(dice)}",
        "plot": f"{names[0]} looks for {_name(dice)} in {_name(dice)} and finds {_name(dice)} with {names[-1]}.",
        "characters": [*cast, *new],
        "beats": [f"{names[0]} meets {_name(dice)} and {_name(dice)}." for _ in range(5)],
    }


def _name(dice: random.Random) -> str:
    return "".join(dice.choice(_SYLLABLES) for _ in range(4)).capitalize()


def _tell(seed: str) -> str:
    user = UUID(int=random.Random(seed).getrandbits(120))
    brief = Brief(job_id=user, user_id=user, local_date=FIRST_DAY)
    return OfflineWriter().write(brief, Desk()).body


def _tagged(material: str, tag: str) -> Any:
    found = re.search(f"<{tag}>(.*?)</{tag}>", material, re.DOTALL)
    return json.loads(found[1]) if found else None
