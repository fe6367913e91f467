"""The one hand through which operators change Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from fixionmail.errors import InputError
from fixionmail.jobs.operating.connection import connect_operator
from fixionmail.jobs.operating.raw_ids import raw_id
from fixionmail.jobs.worker import scripts
from fixionmail.jobs.worker.scripts import Argument, Script

REPLY_SECONDS = 5.0
_TIMES = "%Y-%m-%dT%H:%M:%S.%fZ"


def _load(*names: str) -> Script:
    folder = resources.files(__package__) / "lua"
    return Script(
        source="\n".join((folder / f"{name}.lua").read_text("utf-8") for name in ("common", *names))
    )


_STATES, _REPAIR = _load("states"), _load("repair")
_CHANGES = {name: _load(name, "each") for name in ("requeue", "cancel", "delete")}
_SWEEPS = {name: _load(name, "sweep") for name in _CHANGES}
_WAITS, _DONE, _LATER = "waits ", "=", "later"


@dataclass(frozen=True, kw_only=True)
class JobSeen:
    """A job as it was seen. ``status`` is empty when it has no record, ``started_at`` when it never began.

    ``version`` changes with every change of its status; ``dependents``: how many jobs wait for it.
    """

    status: str
    queue: str
    description: str
    started_at: str
    version: str
    dependents: int


class RedisHand:
    """Changes one Redis. All methods may raise ``redis.exceptions.RedisError``.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        prefix: What RQ's keys begin with.
    """

    def __init__(self, url: str, *, prefix: str = "rq") -> None:
        self.prefix = prefix
        self.connection = connect_operator(url, reply_timeout=REPLY_SECONDS)
        self._longest = 0.0

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def round_trip(self) -> float:
        """Seconds that the way there and back takes."""
        began = time.monotonic()
        self.connection.ping()
        return time.monotonic() - began

    def take_longest(self) -> float:
        """Seconds that the longest command took whose length grows with how many jobs it is given, since last asked."""
        longest, self._longest = self._longest, 0.0
        return longest

    def look(self, ids: Sequence[str]) -> list[JobSeen]:
        """What these jobs are like now; writes nothing."""
        replies = self._run(_STATES, ids)
        return [
            JobSeen(
                status=_text(status),
                queue=_text(queue),
                description=_text(about),
                started_at=_text(began),
                version=_text(version),
                dependents=dependents,
            )
            for status, queue, about, began, version, dependents in replies
        ]

    def change(self, what: str, jobs: Sequence[tuple[str, str]]) -> list[str]:
        """``requeue``, ``cancel`` or ``delete`` these jobs where they still are as they were seen.

        Args:
            what: One of the three.
            jobs: Ids, each with its version as seen.

        Returns:
            A word for each: done, or why not (gone, moved on, running, queued, ended, broken).
        """
        words = dict(
            zip(
                (job for job, _ in jobs),
                map(_text, self._run(_CHANGES[what], ["0", *_flat(jobs)])),
                strict=True,
            )
        )
        queues = {word.removeprefix(_WAITS) for word in words.values() if word.startswith(_WAITS)}
        for queue in queues:
            waiting = {job: seen for job, seen in jobs if words[job] == _WAITS + queue}
            words |= self._sweep(what, queue, waiting)
        return [words[job] for job, _ in jobs]

    def _sweep(self, what: str, queue: str, seen: Mapping[str, str]) -> dict[str, str]:
        """Change jobs that wait in a long list; those that are not found in three passes are in none.

        Whoever else takes entries out of the middle moves others, which one pass may then miss.
        """
        words: dict[str, str] = {}
        for _ in range(3):
            words |= self._pass(what, queue, {job: seen[job] for job in seen if job not in words})
        left = [(job, version) for job, version in seen.items() if job not in words]
        if left:
            said = self._run(_CHANGES[what], ["1", *_flat(left)])
            words |= dict(zip((job for job, _ in left), map(_text, said), strict=True))
        return words

    def _pass(self, what: str, queue: str, seen: Mapping[str, str]) -> dict[str, str]:
        """Go through a list in slices; a word for each job that was found."""
        words: dict[str, str] = {}
        passed = 0 if seen else -1
        while passed >= 0:
            pairs = _flat(
                (job, _DONE if words.get(job) == "done" else version) for job, version in seen.items()
            )
            passed, found = self._run(_SWEEPS[what], [queue, str(passed), *pairs])
            words |= dict(zip(map(_text, found[::2]), map(_text, found[1::2]), strict=True))
        return words

    def repair(self, ids: Sequence[str]) -> list[str]:
        """Make Redis agree with itself about these jobs, executions and workers; a word for each.

        Args:
            ids: As ``text_of_id`` names them.
        """
        words: dict[str, str] = {}
        while left := [each for each in ids if words.get(each, _LATER) == _LATER]:
            words |= dict(zip(left, map(_text, self._run(_REPAIR, [*map(raw_id, left)])), strict=True))
        return [words[each] for each in ids]

    def stop_job(self, job_id: str) -> str:
        """Tell the worker that runs a job to stop it: asked, or why not."""
        key = f"{self.prefix}:job:{job_id}"
        status, worker = scripts.command(self.connection, "HMGET", key, "status", "worker_name")
        if status is None:
            return "gone"
        if _text(status) != "started" or not worker:
            return "not running"
        return self._tell(_text(worker), {"command": "stop-job", "job_id": job_id})

    def stop_worker(self, name: str) -> str:
        """Tell a worker to finish what it runs and exit: asked, or why not."""
        return self._tell(name, {"command": "shutdown"})

    def drain_worker(self, name: str) -> str:
        """As ``stop_worker``, for our own workers without a limit to how long they may take."""
        from fixionmail.jobs.worker.control import drain_worker

        try:
            drain_worker(self.connection, name)
        except InputError:
            return "gone"
        return "asked"

    def suspend(self) -> None:
        """Let no worker take jobs, as ``rq suspend`` does."""
        self.connection.set(f"{self.prefix}:suspended", 1)

    def resume(self) -> None:
        """Undo ``suspend``, and wake the workers."""
        from fixionmail.jobs.worker.keys import WAKE_CHANNEL

        self.connection.delete(f"{self.prefix}:suspended")
        self.connection.publish(WAKE_CHANNEL, "resumed")

    def _tell(self, worker: str, words: dict[str, str]) -> str:
        heard = self.connection.publish(f"{self.prefix}:pubsub:{worker}", json.dumps(words))
        return "asked" if heard else "nobody listens"

    def _run(self, script: Script, arguments: Sequence[Argument]) -> Any:
        now = datetime.now(UTC).strftime(_TIMES)
        began = time.monotonic()
        answer = scripts.run(self.connection, script, [self.prefix, now, *arguments])
        if script not in _SWEEPS.values():
            self._longest = max(self._longest, time.monotonic() - began)
        return answer


def _flat(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [part for pair in pairs for part in pair]


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="replace")
