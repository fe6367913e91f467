"""Going through many jobs in small steps, each of which holds Redis up for a few milliseconds only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fixionmail.jobs.worker.scripts import Argument, Script
from fixionmail.ops.connection import RedisReader, load_script
from fixionmail.ops.reading import text_of

_SOURCES = load_script("rows", "sources")
ENTRIES_PER_COMMAND = 1000
"""About as many as a step gets through; for estimates."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A list or registry that holds something."""

    state: str
    raw_queue: bytes
    count: int

    @property
    def queue(self) -> str:
        """The queue's name as text."""
        return text_of(self.raw_queue)


def step_script(name: str) -> Script:
    """A script that visits entries of one source; see ``walk.lua``."""
    return load_script("rows", "places", "walk", name)


def sources(reader: RedisReader, states: Sequence[str], queue: str = "") -> tuple[Source, ...]:
    """Where jobs in these states are; one command."""
    found = reader.run(_SOURCES, (",".join(states), queue))
    return tuple(
        Source(state=text_of(state), raw_queue=raw_queue, count=count) for state, raw_queue, count in found
    )


def steps(
    reader: RedisReader, script: Script, source: Source, arguments: Sequence[Argument] = ()
) -> Iterator[tuple[int, Any]]:
    """Run ``script`` until it has been through ``source``: how many entries each step visited, and what it found.

    The next step is under way while the caller looks at the last one. What comes while this goes on is not visited;
    what leaves may or may not be. It ends after twice as many entries as there were, whatever happens meanwhile.
    """

    def step(place: Sequence[Argument]) -> Future[Any]:
        return thread.submit(reader.run, script, (source.state, source.raw_queue, *place, *arguments))

    left = 2 * source.count
    with ThreadPoolExecutor(1, thread_name_prefix="walk") as thread:
        reply: Future[Any] | None = step(("", ""))
        while reply is not None:
            visited, place, found = reply.result()
            left -= max(visited, 1)
            reply = step(place) if place and left > 0 else None
            yield visited, found
