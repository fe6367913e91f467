"""This machine: processes that do not stay up, and a disk that fills."""

from __future__ import annotations

from collections.abc import Iterator

from fixionmail.ops.checks.scene import Machine, Scene, many
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.processes.fleet import ProcessLook
from fixionmail.processes.keeper import BACKING_OFF, CRASH_LOOPING, FAILED

_LITTLE_BYTES = 512 * 2**20
_FULL_BYTES = 64 * 2**20
_MEMORY_WORDS = ("SIGKILL",)


def check(scene: Scene) -> Iterator[Finding]:
    """Everything about processes and disk of this machine."""
    machine = scene.machine
    if machine is None:
        return
    for process in machine.processes:
        if process.state in (CRASH_LOOPING, BACKING_OFF, FAILED):
            yield _down(process)
    yield from _disk(machine)
    for what, error in machine.failures.items():
        yield Finding(
            kind="machine-unseen",
            harm=Harm.NOTE,
            title=f"This machine's {what} cannot be looked at",
            cause=error,
            subjects=(what,),
        )


def _down(process: ProcessLook) -> Finding:
    crashing = process.state == CRASH_LOOPING
    out_of_memory = process.kind == "worker" and any(word in process.last_end for word in _MEMORY_WORDS)
    cause = {
        CRASH_LOOPING: "It ends again soon after every start.",
        BACKING_OFF: "It ended and is started again after a pause.",
        FAILED: "It should run and does not, and nobody supervises it.",
    }[process.state]
    cures = [Cure(label="restart it", action="restart-process", targets=(process.name,))]
    if out_of_memory:
        cause += " It was killed, which is how a system ends a process that takes too much memory."
        cures.append(Cure(label="lower its concurrency", command="WORKER_CONCURRENCY=<less>"))
    if process.state != FAILED:
        cures.insert(0, Cure(label="wait", automatic="it is started again by itself, after growing pauses"))
    return Finding(
        kind="process-crash-looping" if crashing else "process-down",
        harm=Harm.LATE if crashing or process.state == FAILED else Harm.RISK,
        title=f"{process.name} {'ends again and again' if crashing else 'is down'}",
        cause=cause,
        evidence=(
            *((process.last_end,) if process.last_end else ()),
            many(process.restarts, "restart"),
            *(f"log: {line}" for line in process.log[-3:]),
        ),
        subjects=(process.name,),
        since=process.since,
        cures=tuple(cures),
        drill=25,
    )


def _disk(machine: Machine) -> Iterator[Finding]:
    free = machine.free_bytes
    if free is not None and free < _LITTLE_BYTES:
        yield Finding(
            kind="disk-full",
            harm=Harm.LATE if free < _FULL_BYTES else Harm.RISK,
            title=f"The disk is {'full' if free < _FULL_BYTES else 'nearly full'} under {machine.home}",
            cause="The bundled Postgres, the outbox and the logs are kept there: without room nothing is written.",
            evidence=(f"{free / 2**20:,.0f} MB free",),
            subjects=(machine.home,),
            cures=(Cure(label="make room, or name another folder", command="FIXIONMAIL_HOME=<folder>"),),
            drill=27,
        )
