"""Functions that test jobs name. Effects go to a file, so that they outlive any Redis."""

from __future__ import annotations

import os
import re
import threading
import time

from fixionmail import deadline
from fixionmail.jobs.worker import current_execution

HERE = "tests.integration.worker.functions"


def add(a: int, b: int) -> int:
    return a + b


def nothing(*args: object) -> None:
    return None


def boom() -> None:
    raise ValueError("the mill is broken")


def unserializable() -> object:
    return object()


def who_am_i() -> list[str]:
    execution = current_execution()
    assert execution is not None
    return [execution.job_id, execution.execution_id, execution.worker_name, execution.queue]


def time_left() -> float:
    return deadline.remaining(10_000.0)


def note(path: str, line: str, seconds: float = 0.0) -> None:
    """Wait like a story that waits for its model, then leave one line in a file."""
    time.sleep(seconds)
    append(path, line)


def append(path: str, line: str) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def careful(path: str, seconds: float) -> None:
    """Work in steps that look at the deadline."""
    append(path, "begun")
    for _ in range(int(seconds * 100)):
        deadline.check()
        time.sleep(0.01)
    append(path, "done")


def patient(path: str, line: str, gate: str) -> None:
    """Work that looks at its deadline until the file ``gate`` is there, then leaves one line in a file."""
    while not os.path.exists(gate):
        deadline.check()
        time.sleep(0.1)  # a thousand may wait at once
    append(path, line)


def careless(path: str, gate: str) -> str:
    """Work that never looks at its deadline: it goes on until the file ``gate`` is there."""
    append(path, "begun")
    while not os.path.exists(gate):
        time.sleep(0.01)
    append(path, "done")
    return "late"


def die(path: str) -> None:
    """The whole process dies in the middle of this job, the first time."""
    append(path, "begun")
    with open(path, "rb") as file:
        if len(file.readlines()) == 1:
            os.kill(os.getpid(), 9)


def hold_the_interpreter(path: str) -> None:
    """A C call that does not let any other thread run for hours."""
    append(path, "begun")
    re.match(r"(a+)+$", "a" * 60 + "b")


def leak(megabytes: int) -> None:
    _kept.append(bytearray(os.urandom(1024)) * 1024 * megabytes)


_kept: list[bytearray] = []
_barrier = threading.Barrier(20)


def meet_nineteen_others() -> None:
    _barrier.wait(timeout=60)


FUNCTIONS = {
    f"{HERE}.{function.__name__}": function
    for function in (
        add,
        nothing,
        boom,
        unserializable,
        who_am_i,
        time_left,
        note,
        careful,
        patient,
        careless,
        die,
        hold_the_interpreter,
        leak,
        meet_nineteen_others,
    )
}
