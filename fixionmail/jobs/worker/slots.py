"""The threads that run jobs. They never speak to Redis."""

from __future__ import annotations

import logging
import threading
import traceback
from contextvars import copy_context
from queue import SimpleQueue

from fixionmail import deadline
from fixionmail.jobs.worker import context
from fixionmail.jobs.worker.execution import Execution, result_json
from fixionmail.jobs.worker.payload import Call

log = logging.getLogger(__name__)


class Slots:
    """Threads, started on demand and kept, that run executions and put each into ``done`` when it has left them."""

    def __init__(self, concurrency: int, done: SimpleQueue[Execution | str | None]) -> None:
        self._concurrency = concurrency
        self._done = done
        self._work: SimpleQueue[Execution | None] = SimpleQueue()
        self._threads = 0

    def submit(self, execution: Execution, in_flight: int) -> None:
        """Run an execution, with as many threads as are ``in_flight``, up to the concurrency."""
        execution.running = True
        self._work.put(execution)
        while self._threads < min(in_flight, self._concurrency):
            self._threads += 1
            threading.Thread(target=self._run, name=f"slot-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """Let every thread end when it has nothing left to run; those stuck in a job are left behind."""
        for _ in range(self._threads):
            self._work.put(None)

    def _run(self) -> None:
        while (execution := self._work.get()) is not None:
            copy_context().run(_perform, execution)
            execution.running = False
            self._done.put(execution)


def _perform(execution: Execution) -> None:
    call = execution.call
    assert isinstance(call, Call)
    context._current.set(execution.context)
    with deadline.limit(call.timeout) as limit:
        if not execution.begin(limit):
            return
        try:
            value = result_json(call.function(*call.args, **call.kwargs))
        except (
            BaseException
        ) as problem:  # the boundary around job code: whatever it raises is the job's failure
            if not execution.settle("failed", error=traceback.format_exc()):
                log.info("Job %s ended late with %s.", execution.context.job_id, type(problem).__name__)
        else:
            if not execution.settle("finished", value=value):
                log.warning("Job %s ended late; its result is refused.", execution.context.job_id)
