"""The threads that run jobs."""

from __future__ import annotations

from queue import SimpleQueue

from fixionmail.jobs.worker import ExecutionContext
from fixionmail.jobs.worker.execution import Execution
from fixionmail.jobs.worker.payload import Call
from fixionmail.jobs.worker.slots import Slots


def execution_of(call: Call) -> Execution:
    context = ExecutionContext(execution_id="x", job_id="a", queue="stories", worker_name="w")
    return Execution(context=context, call=call, claimed="1.0", age=0.0, queued_ms=0)


def test_a_job_stopped_before_it_reaches_a_thread_is_not_run() -> None:
    ran: list[str] = []
    execution = execution_of(Call(function=ran.append, args=["it ran"], kwargs={}, timeout=60))
    back: SimpleQueue[Execution | str | None] = SimpleQueue()
    slots = Slots(1, back)
    assert execution.settle("stopped")
    slots.submit(execution, 1)
    assert back.get(timeout=5) is execution
    assert not execution.running
    assert ran == []
    slots.close()


def test_the_first_to_settle_decides() -> None:
    execution = execution_of(Call(function=len, args=[[]], kwargs={}, timeout=60))
    assert execution.settle("failed", error="too late")
    assert not execution.settle("finished", value=b"1")
    assert execution.outcome is not None
    assert execution.outcome.ending == "failed"


def test_a_thread_survives_a_job_that_wants_to_end_the_process() -> None:
    def leave() -> None:
        raise SystemExit(3)

    back: SimpleQueue[Execution | str | None] = SimpleQueue()
    slots = Slots(1, back)
    for _ in range(2):
        execution = execution_of(Call(function=leave, args=[], kwargs={}, timeout=60))
        slots.submit(execution, 1)
        assert back.get(timeout=5) is execution
        assert execution.outcome is not None
        assert "SystemExit: 3" in execution.outcome.error
    slots.close()
