"""Going through many jobs in small steps, each of which holds Redis up for a few milliseconds only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from fixionmail.jobs.worker.scripts import Argument, Script
from fixionmail.ops.connection import RedisReader, load_script
from fixionmail.ops.reading import text_of

_SOURCES = load_script("rows", "sources")
PLACES_AT_A_TIME = 6


@dataclass(frozen=True, kw_only=True)
class Source:
    """A list or registry that holds something, named after its queue, or after the limit that holds jobs back."""

    state: str
    raw_name: bytes
    count: int

    @property
    def name(self) -> str:
        """The name as text."""
        return text_of(self.raw_name)


def step_script(name: str) -> Script:
    """A script that visits entries of one source; see ``walk.lua``."""
    return load_script("rows", "places", "walk", name)


def sources(reader: RedisReader, states: Sequence[str], queue: str = "") -> tuple[Source, ...]:
    """Where jobs in these states are; one command."""
    found = reader.run(_SOURCES, (",".join(states), queue))
    return tuple(
        Source(state=text_of(state), raw_name=raw_name, count=count) for state, raw_name, count in found
    )


def steps(
    reader: RedisReader, script: Script, places: Sequence[Source], arguments: Sequence[Argument] = ()
) -> Iterator[tuple[Source, int, Any]]:
    """Run ``script`` until it has been through ``places``: where each step was, how many entries it visited, and what
    it found.

    Several places are walked at a time, and go on while the caller looks at what was found: what counts for a Redis
    that is far away. What comes meanwhile is not visited; what leaves may or may not be. A place ends after twice as
    many entries as there were, whatever happens.
    """
    walkers = iter([_Walker(reader, script, place, arguments) for place in places])
    with ThreadPoolExecutor(PLACES_AT_A_TIME, thread_name_prefix="walk") as threads:
        under_way = {threads.submit(walker.step): walker for walker in islice(walkers, PLACES_AT_A_TIME)}
        while under_way:
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                walker = under_way.pop(done)
                visited, found = done.result()
                following = walker if walker.goes_on else next(walkers, None)
                if following is not None:
                    under_way[threads.submit(following.step)] = following
                yield walker.source, visited, found


class _Walker:
    """Goes through one source, a step at a time."""

    def __init__(
        self, reader: RedisReader, script: Script, source: Source, arguments: Sequence[Argument]
    ) -> None:
        self.source = source
        self._run = partial(reader.run, script)
        self._arguments = arguments
        self._place: Sequence[Argument] = ("", "")
        self._left = 2 * source.count

    @property
    def goes_on(self) -> bool:
        """There is more to visit."""
        return bool(self._place) and self._left > 0

    def step(self) -> tuple[int, Any]:
        """How many entries this step visited, and what it found."""
        source = self.source
        reply = self._run((source.state, source.raw_name, *self._place, *self._arguments))
        visited, self._place, found = reply
        self._left -= max(visited, 1)
        return visited, found
