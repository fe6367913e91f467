"""What an operator types to do the same as an action, or as a cure; safe to paste, whatever its targets are called."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from fixionmail.ops.actions.action import Action
from fixionmail.ops.actions.registry import action
from fixionmail.ops.views.findings import Cure

NAMED_TARGETS = 20
_TARGETS = " {targets}"


def command_line(wanted: Action, targets: Sequence[str], detail: str) -> str:
    """The command of an action; after ``NAMED_TARGETS`` targets stands an ellipsis for the others."""
    more = " …" if len(targets) > NAMED_TARGETS else ""
    return wanted.command.replace(_TARGETS, _named(targets) + more).replace("{detail}", shlex.quote(detail))


def command_of(cure: Cure) -> str:
    """What does on the command line what the cure does; empty where nothing is to be typed.

    It names the first ``NAMED_TARGETS`` targets: ``unnamed`` says how many are left for the same again.
    """
    if cure.command or not cure.action:
        return cure.command
    return command_line(action(cure.action), cure.targets[:NAMED_TARGETS], "<id>")


def unnamed(cure: Cure) -> int:
    """How many targets of the cure its command does not name, though it names others."""
    names_them = not cure.command and cure.action and _TARGETS in action(cure.action).command
    return max(0, len(cure.targets) - NAMED_TARGETS) if names_them else 0


def _named(targets: Sequence[str]) -> str:
    """As arguments: what begins like an option is none behind two dashes."""
    named = targets[:NAMED_TARGETS]
    dashes = " --" if any(target.startswith("-") for target in named) else ""
    return dashes + "".join(f" {shlex.quote(target)}" for target in named)
