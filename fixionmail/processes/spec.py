"""What can run: each kind of process, the command line that starts it, and the settings it is started with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fixionmail.errors import InputError
from fixionmail.settings import Settings

PROGRAMS = ("worker", "scheduler", "delivery", "web")
SERVERS = ("postgres", "redis")
KINDS = (*PROGRAMS, *SERVERS)
ONE_OF_EACH = ("web", *SERVERS)
"""Kinds of which a home has one: they have a port."""
MOST_COPIES = 64
_SETTINGS = frozenset(name.upper() for name in Settings.model_fields)


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process to run.

    Attributes:
        name: unique in its home; names its log file.
        kind: one of KINDS.
        argv: its command line; empty for a bundled server.
        environment: the settings it is started with, beside its supervisor's environment without settings.
        cwd: the folder it works in, whose `.env` it reads.
    """

    name: str
    kind: str
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = "/"


def command_line(kind: str) -> tuple[str, ...]:
    """How to run one of PROGRAMS; -P keeps a stray module in the working folder from taking our place."""
    return (sys.executable, "-P", "-m", "cli", "run", kind)


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that FixionMail reads."""
    return {name: value for name, value in environment.items() if _is_setting(name)}


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that any program may need."""
    return {name: value for name, value in environment.items() if not _is_setting(name)}


def _is_setting(name: str) -> bool:
    return name.upper() in _SETTINGS or name.upper().startswith("FIXIONMAIL_")


def names(kind: str, copies: int) -> list[str]:
    """So many names of one kind: ``worker-1``, ``worker-2``, …; ``redis`` for a kind of which there is one.

    Raises:
        InputError: there is no such kind, or there cannot be so many.
    """
    if kind not in KINDS:
        raise InputError(f"There is no {kind!r} to run: {', '.join(KINDS)}.")
    most = 1 if kind in ONE_OF_EACH else MOST_COPIES
    if not 0 <= copies <= most:
        raise InputError(f"There can be 0 to {most} of {kind}, not {copies}.")
    if kind in ONE_OF_EACH:
        return [kind] * copies
    return [f"{kind}-{number}" for number in range(1, copies + 1)]


def kind_of(name: str) -> str:
    """The kind of process that has this name.

    Raises:
        InputError: none has.
    """
    kind, _, number = name.partition("-")
    is_right = number.isascii() and number.isdigit() and 0 < int(number[:4]) <= MOST_COPIES
    if kind in KINDS and (not number if kind in ONE_OF_EACH else is_right):
        return kind
    raise InputError(
        f"No process is called {name!r}: they are called like worker-1, scheduler-1, web or redis."
    )


def spec(
    name: str, home: Path, *, environment: Mapping[str, str] = os.environ, cwd: Path | None = None
) -> ProcessSpec:
    """The process called ``name``, with the settings of ``environment`` and of the `.env` in ``cwd`` (ours: None).

    A bundled server has no settings.
    """
    kind = kind_of(name)
    if kind in SERVERS:
        return ProcessSpec(name=name, kind=kind)
    return ProcessSpec(
        name=name,
        kind=kind,
        argv=command_line(kind),
        environment={**settings_in(environment), "FIXIONMAIL_HOME": str(home)},
        cwd=str(cwd or Path.cwd()),
    )
