"""What an audit can find, in words."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fixionmail.jobs.operating.raw_ids import text_of_id
from fixionmail.ops.views.findings import Cure, Finding, Harm

NAMED_IDS = 1000
"""Ids that a finding names; the others are counted."""
COMMANDS = 20
"""What a finding spells out a command for, where one is needed for each."""
_DRILL = 28


@dataclass(frozen=True, kw_only=True)
class _Kind:
    harm: Harm
    title: str
    """With ``{n}`` for how many."""
    cause: str
    cure: str = ""
    action: str = "repair-redis"
    """Empty where only a command helps."""
    automatic: str = ""


_KINDS = {
    "record-without-entry": _Kind(
        harm=Harm.LOST,
        title="Jobs on record and in no list or registry: {n}",
        cause="A worker took them off their queue and ended before it started them, or something removed the entry. "
        "Nobody will run them.",
        cure="Queue them again",
    ),
    "never-started": _Kind(
        harm=Harm.LOST,
        title="Jobs that got lost before the start: {n}",
        cause="They are in limbo, RQ's intermediate list, from which no worker takes: one took them off their queue "
        "and ended before it started them.",
        cure="Put them back",
    ),
    "unreadable-key": _Kind(
        harm=Harm.RISK,
        title="Keys that hold another type than RQ puts there: {n}",
        cause="Something else wrote to them. What RQ had there is gone, and its workers fail over them.",
        action="",
    ),
    "entry-without-record": _Kind(
        harm=Harm.COST,
        title="Entries of lists or registries without a record: {n}",
        cause="The record has expired or was deleted, and the id was left. There is nothing to run.",
        cure="Remove the entries",
    ),
    "status-disagrees": _Kind(
        harm=Harm.RISK,
        title="Jobs that are not where their record puts them: {n}",
        cause="The status on record names another place than the one that holds them, and that other place does not.",
        cure="Put them where their status says",
    ),
    "several-places": _Kind(
        harm=Harm.RISK,
        title="Jobs in several places at once: {n}",
        cause="They are where their status says, and in another list or registry too: they may run twice.",
        cure="Keep the place that the status names",
    ),
    "listed-twice": _Kind(
        harm=Harm.RISK,
        title="Jobs that are in their queue twice: {n}",
        cause="They were queued again before they had run: they may run twice.",
        cure="Keep the first entry",
    ),
    "worker-gone": _Kind(
        harm=Harm.COST,
        title="Workers that are listed and have no record: {n}",
        cause="They ended without signing off, as after kill -9.",
        cure="Take them off the list",
        automatic="Another worker takes them off when it cleans up.",
    ),
    "execution-without-job": _Kind(
        harm=Harm.COST,
        title="Executions that belong to no running job: {n}",
        cause="The job was deleted while it ran, or its worker ended without clearing up.",
        cure="Remove them",
    ),
    "lease-lapsed": _Kind(
        harm=Harm.LATE,
        title="Started jobs that nobody vouches for: {n}",
        cause="Their worker has ended or hangs: the lease that it keeps renewing has lapsed.",
        cure="Queue them again",
        automatic="A worker on the same queue buries them when it cleans up.",
    ),
    "unknown-to-database": _Kind(
        harm=Harm.COST,
        title="Jobs in Redis that the database does not know: {n}",
        cause="They are left from an earlier database. A worker that takes one finds nothing to do.",
        cure="Remove them",
        action="delete",
    ),
    "announced-not-rung": _Kind(
        harm=Harm.LATE,
        title="Jobs that were announced and are in no queue: {n}",
        cause="Redis lost them after they were rung for, as by a flush.",
        cure="Ring again",
        action="rering",
        automatic="The scheduler rings again within a tick.",
    ),
}


class Oddities:
    """Ids by what is wrong with them."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[bytes, None]] = {}

    def add(self, kind: str, ids: Iterable[bytes]) -> None:
        """Put ids down; an id counts once for each kind."""
        found = dict.fromkeys(ids)
        if found:
            self._ids.setdefault(kind, {}).update(found)

    def findings(self) -> tuple[Finding, ...]:
        """The worst first."""
        found = [_finding(kind, list(ids)) for kind, ids in self._ids.items()]
        return tuple(sorted(found, key=lambda finding: (-finding.harm, finding.kind)))


def _finding(kind: str, ids: list[bytes]) -> Finding:
    about = _KINDS[kind]
    named = tuple(map(text_of_id, ids[:NAMED_IDS]))
    return Finding(
        kind=kind,
        harm=about.harm,
        title=about.title.format(n=f"{len(ids):,}"),
        cause=about.cause,
        subjects=named,
        count=len(ids),
        cures=_cures(about, named),
        drill=_DRILL,
    )


def _cures(about: _Kind, named: tuple[str, ...]) -> tuple[Cure, ...]:
    if about.action:
        return (Cure(label=about.cure, action=about.action, targets=named, automatic=about.automatic),)
    return set_aside(named)


def set_aside(keys: Sequence[str]) -> tuple[Cure, ...]:
    """What is to be typed to take keys of another type out of RQ's way without losing what they hold."""
    names = map(shlex.quote, keys[:COMMANDS])
    return tuple(
        Cure(label="Set it aside", command=f'redis-cli -u "$REDIS_URL" RENAMENX {name} {name}:set-aside')
        for name in names
    )
