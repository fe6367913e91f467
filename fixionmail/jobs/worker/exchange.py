"""The one thread that claims jobs and records their ends: one round trip does both."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from fixionmail.jobs.worker import keys, scripts
from fixionmail.jobs.worker.backoff import Backoff
from fixionmail.jobs.worker.bells import Bell
from fixionmail.jobs.worker.context import ExecutionContext
from fixionmail.jobs.worker.execution import Execution
from fixionmail.jobs.worker.fairness import QueueOrder
from fixionmail.jobs.worker.options import WorkerOptions
from fixionmail.jobs.worker.payload import Functions, JobRecord, Refusal, read_call
from fixionmail.jobs.worker.slots import Slots

log = logging.getLogger(__name__)

BATCH = 100
"""Jobs claimed and ends recorded per round trip; larger batches only hold up the server."""
IDLE_SECONDS = 5.0
"""How long the thread sleeps at most, so that the watchdog sees it move."""


@dataclass(frozen=True, kw_only=True)
class Notices:
    """What the exchange tells the rest of the worker."""

    unregistered: Callable[[], None]
    drain: Callable[[], None]
    dependents: Callable[[Execution], None]


class Exchange:
    """Owns every execution in flight.

    A job is claimed only for a free slot, and a slot is free when the end of its job is committed and its thread
    is back: while Redis is away nothing new starts and nothing that ended is forgotten.
    """

    def __init__(
        self, client: Redis, worker: str, functions: Functions, options: WorkerOptions, notices: Notices
    ) -> None:
        self.in_flight: dict[str, Execution] = {}
        self.inbox: SimpleQueue[Execution | str | None] = SimpleQueue()
        self.claimed = 0
        self.last_turn = time.monotonic()
        self._client = client
        self._worker = worker
        self._functions = functions
        self._options = options
        self._notices = notices
        self._slots = Slots(options.concurrency, self.inbox)
        self._order = QueueOrder(options.queues, options.concurrency)
        self._bells: dict[str, Bell[Execution]] = {}
        self._waiting = set(options.queues)
        self._blocked_until: dict[str, float] = {}
        self._blocks = {queue: Backoff(first=1.0, most=15.0) for queue in options.queues}
        self._unreported: list[Execution] = []
        self._uncertain = False
        self._running: Counter[str] = Counter()
        self._claiming = True
        self._quiet = False
        self._closing = threading.Event()
        self._close_by = 0.0
        self._backoff = Backoff()

    # ---- called from other threads -------------------------------------------------------------------------------

    def use_bells(self, bells: Mapping[str, Bell[Execution]]) -> None:
        """The bells to arm when a queue turns out to be empty."""
        self._bells = dict(bells)

    def ring(self) -> None:
        """Look at all queues now, also at those that were paused."""
        self._waiting.update(self._options.queues)  # at once, so that a burst does not end meanwhile
        for queue in self._options.queues:
            self.inbox.put(queue)

    def doubt(self) -> None:
        """Redis counts more executions for this worker than it knows: look for them."""
        self._uncertain = True
        self.inbox.put(None)

    def settled(self, execution: Execution) -> None:
        """An execution was settled by somebody else than its own thread."""
        self.inbox.put(execution)

    def stop_claiming(self) -> None:
        self._claiming = False
        self.inbox.put(None)

    def is_drained(self) -> bool:
        """Whether claiming has ceased and every end is recorded. Threads that outlived their job do not count."""
        return self._quiet and self._all_committed()

    def is_exhausted(self) -> bool:
        """Whether a burst or a limited run has nothing left to do."""
        done = self._options.burst and not self._waiting
        idle = self.inbox.empty() and not self._uncertain and self._all_committed()
        return idle and (done or self._left_to_claim() == 0)

    def close(self, seconds: float) -> None:
        """End :meth:`run` as soon as nothing is left to report; after ``seconds`` even so, when Redis fails."""
        self._close_by = time.monotonic() + seconds
        self._closing.set()
        self.inbox.put(None)
        self._slots.close()

    # ---- the thread ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        while True:
            self._read_inbox()
            self.last_turn = time.monotonic()
            self._quiet = not self._claiming and not self._uncertain
            if self._closing.is_set() and not self._unreported:
                return
            try:
                self._turn()
                self._backoff.succeeded()
            except (RedisError, OSError) as problem:
                self._uncertain = True
                pause = self._backoff.failed()
                log.warning("Redis does not serve the worker (%s); trying again in %.1f s.", problem, pause)
                if self._closing.is_set() and time.monotonic() + pause > self._close_by:
                    return
                time.sleep(pause)

    def _read_inbox(self) -> None:
        """Take every message; sleep for the first only when there is nothing else to do."""
        try:
            self._receive(self.inbox.get(timeout=self._sleep_seconds()))
            while True:
                self._receive(self.inbox.get_nowait())
        except Empty:
            return

    def _sleep_seconds(self) -> float:
        if self._unreported or self._uncertain or self._closing.is_set() or self._open_queues():
            return 0.0
        if not self._claiming or not self._free():
            return IDLE_SECONDS
        now = time.monotonic()
        blocked = [until - now for queue, until in self._blocked_until.items() if queue in self._waiting]
        return max(0.0, min([IDLE_SECONDS, *blocked]))

    def _receive(self, message: Execution | str | None) -> None:
        if isinstance(message, str):
            self._waiting.add(message)
            self._blocked_until.pop(message, None)
        elif message is not None and not message.reported:
            message.reported = True
            self._unreported.append(message)
        elif message is not None:
            self._release(message)

    def _release(self, execution: Execution) -> None:
        over = execution.committed and not execution.running
        if over and self.in_flight.pop(execution.context.execution_id, None) is not None:
            self._running[execution.context.queue] -= 1

    def _all_committed(self) -> bool:
        return all(execution.committed for execution in list(self.in_flight.values()))

    def _free(self) -> int:
        return self._options.concurrency - len(self.in_flight)

    def _left_to_claim(self) -> int | None:
        limit = self._options.max_jobs
        return None if limit is None else max(0, limit - self.claimed)

    def _open_queues(self) -> list[str]:
        """Queues worth asking now: none when there is no slot to fill."""
        if not self._claiming or self._free() <= 0 or self._left_to_claim() == 0:
            return []
        now = time.monotonic()
        return [
            q for q in self._options.queues if q in self._waiting and self._blocked_until.get(q, 0.0) <= now
        ]

    def _turn(self) -> None:
        if self._uncertain:
            self._adopt()
        batch = self._unreported[:BATCH]
        claim = self._claim_arguments(len([execution for execution in batch if not execution.running]))
        calls: list[tuple[scripts.Script, Sequence[scripts.Argument]]] = []
        if batch:
            calls.append((scripts.FINISH, self._finish_arguments(batch)))
        if claim:
            calls.append((scripts.CLAIM, claim))
        if not calls:
            return
        replies = scripts.run_together(self._client, calls)
        failures = [reply for reply in replies if isinstance(reply, ResponseError)]
        if batch and not isinstance(replies[0], ResponseError):
            failures += self._accept_finish(batch, replies[0])
        if claim and not isinstance(replies[-1], ResponseError):
            self._accept_claim(replies[-1])
        if failures:
            raise failures[0]

    def _adopt(self) -> None:
        reply = scripts.run(self._client, scripts.ADOPT, [keys.PREFIX, self._worker, *self.in_flight])
        self._uncertain = False
        now, unknown = reply
        if unknown:
            log.info("Took over %d jobs whose claim was not heard of.", len(unknown))
        self._start(unknown, float(now))

    # ---- finishing ---------------------------------------------------------------------------------------------------

    def _finish_arguments(self, batch: Sequence[Execution]) -> list[scripts.Argument]:
        arguments: list[scripts.Argument] = [keys.PREFIX, self._worker, self._options.result_ttl]
        for execution in batch:
            arguments.extend(execution.finish_arguments())
        return arguments

    def _accept_finish(self, batch: Sequence[Execution], answers: Sequence[bytes]) -> list[ResponseError]:
        """Take note of recorded ends; returns why others are still held, to be sent again."""
        held = []
        failures = []
        for execution, raw in zip(batch, answers, strict=True):
            answer, _, reason = raw.decode(errors="replace").partition(" ")
            if answer == "error":
                held.append(execution)
                failures.append(ResponseError(reason))
            else:
                self._commit(execution, answer, reason)
        self._unreported[: len(batch)] = held
        return failures

    def _commit(self, execution: Execution, answer: str, reason: str) -> None:
        if answer == "retried":
            self._waiting.add(execution.context.queue)
        elif answer == "dependents":
            self._notices.dependents(execution)
        elif answer == "lost":
            log.warning("The end of job %s was refused: its lease had passed on.", execution.context.job_id)
        elif answer == "poison":
            log.error(
                "The records of job %s are damaged; it is filed as failed: %s",
                execution.context.job_id,
                reason,
            )
        execution.committed = True  # last: who sees this may take the worker for idle
        self._release(execution)

    # ---- claiming ----------------------------------------------------------------------------------------------------

    def _claim_arguments(self, ending: int) -> list[scripts.Argument]:
        """What to ask for: the free slots and those that the finish in the same round trip frees."""
        wanted = min(self._options.concurrency - len(self.in_flight) + ending, BATCH)
        left = self._left_to_claim()
        wanted = wanted if left is None else min(wanted, left)
        if wanted <= 0 or not self._claiming:
            return []
        now = time.monotonic()
        steps = [
            step
            for step in self._order.plan(wanted, self._running)
            if step[0] in self._waiting and self._blocked_until.get(step[0], 0.0) <= now
        ]
        if not steps:
            return []
        lease = int(self._options.lease_seconds)
        arguments: list[scripts.Argument] = [keys.PREFIX, self._worker, lease, uuid4().hex[:24], wanted]
        for step in steps:
            arguments.extend(step)
        return arguments

    def _accept_claim(self, reply: Sequence[Any]) -> None:
        now, state, emptied, paused, reports, started = reply
        for report in reports:
            log.error("A damaged record was set aside: %s", report.decode(errors="replace"))
        self._start(started, float(now))
        if state == b"unregistered":
            self._notices.unregistered()
            self._block(self._options.queues)
        elif state == b"draining":
            self._notices.drain()
            self._block(self._options.queues)
        elif state == b"suspended":
            self._leave(self._options.queues)
        self._leave([queue.decode() for queue in paused])
        for queue in emptied:
            self._rest(queue.decode())

    def _block(self, queues: Sequence[str]) -> None:
        """Ask these queues again after a while."""
        for queue in queues:
            self._blocked_until[queue] = time.monotonic() + self._blocks[queue].failed()

    def _leave(self, queues: Sequence[str]) -> None:
        """Queues that are suspended or paused: a burst gives them up."""
        if self._options.burst:
            self._waiting.difference_update(queues)
        else:
            self._block(queues)

    def _rest(self, queue: str) -> None:
        self._waiting.discard(queue)
        self._blocks[queue].succeeded()
        if bell := self._bells.get(queue):
            bell.arm()

    def _start(self, started: Sequence[Sequence[bytes]], now: float) -> None:
        for queue, job_id, execution_id, claimed, *fields in started:
            context = ExecutionContext(
                execution_id=execution_id.decode(),
                job_id=job_id.decode(),
                queue=queue.decode(),
                worker_name=self._worker,
            )
            record = JobRecord.from_reply(fields)
            execution = Execution(
                context=context,
                call=read_call(record, self._functions),
                claimed=claimed.decode(),
                age=max(0.0, now - float(claimed)),
                queued_ms=record.queued_ms(float(claimed)),
            )
            self.in_flight[context.execution_id] = execution
            self._running[context.queue] += 1
            self.claimed += 1
            if isinstance(execution.call, Refusal):
                self._refuse(execution, execution.call.reason)
            else:
                self._slots.submit(execution, len(self.in_flight))

    def _refuse(self, execution: Execution, reason: str) -> None:
        log.warning("Job %s is refused: %s", execution.context.job_id, reason)
        execution.settle("refused", error=reason)
        self.inbox.put(execution)
