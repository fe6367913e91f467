"""Tiny programs to be supervised, and a fleet of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from fixionmail.processes.fleet import Fleet, ProcessLook
from fixionmail.processes.spec import ProcessSpec, kind_of
from tests.commands import until

REPOSITORY = Path(__file__).parents[3]
SLEEPS = "import time; time.sleep(600)"
FINISHES = """\
import signal, sys, time
def finish(*_):
    print("finished what it had begun", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("ready", flush=True)
time.sleep(600)
"""
STUBBORN = """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""
LINGERS = """\
import os, signal, sys, time
def finish(*_):
    while not os.path.exists({gate!r}):
        time.sleep(0.01)
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("ready", flush=True)
time.sleep(600)
"""
FAILS = "import sys; print('the kettle is broken'); sys.exit(3)"


def fleet_of(
    home: Path,
    source: str = SLEEPS,
    *,
    environment: Mapping[str, str] | None = None,
    argv: tuple[str, ...] | None = None,
) -> Fleet:
    """A fleet in which every process is this Python program."""

    def describe(name: str) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            kind=kind_of(name),
            argv=argv or (sys.executable, "-I", "-S", "-c", source),
            environment=environment or {},
            cwd=str(REPOSITORY),
        )

    background = (sys.executable, "-P", "-m", "tests.standins.supervisor", str(home))
    return Fleet(home, describe=describe, supervisor=background)


def seen(fleet: Fleet, name: str) -> ProcessLook:
    """How one process looks now."""
    return next(look for look in fleet.look() if look.name == name)


def seen_as(fleet: Fleet, name: str, state: str) -> ProcessLook:
    """Wait until it is in this state."""

    def is_there() -> ProcessLook | None:
        return next((look for look in fleet.look() if (look.name, look.state) == (name, state)), None)

    found = until(is_there, f"{name} to be {state}")
    assert isinstance(found, ProcessLook)
    return found


def pid_of(fleet: Fleet, name: str) -> int:
    """The process id of one that runs."""
    pid = seen_as(fleet, name, "running").pid
    assert pid is not None
    return pid
