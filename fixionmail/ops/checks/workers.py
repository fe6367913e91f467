"""Workers: who died with work in hand, who hangs, and who runs another version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fixionmail.jobs.names import QUEUES
from fixionmail.ops.checks.scene import START_WORKER, Scene, many, span
from fixionmail.ops.views.findings import Cure, Finding, Harm
from fixionmail.ops.views.redis import ExecutionView, WorkerHealth, WorkerView


def check(scene: Scene) -> Iterator[Finding]:
    """Everything about workers and what they hold."""
    for worker in scene.workers:
        if worker.health is WorkerHealth.DEAD or scene.is_gone(worker):
            yield from _dead(scene, worker)
        elif worker.health is WorkerHealth.QUIET:
            yield _quiet(scene, worker)
        for execution in worker.executions:
            if execution.overdue and worker.health is not WorkerHealth.DEAD:
                yield _overdue(worker, execution)
    yield from _lapsed(scene)
    yield from _versions(scene)


def _dead(scene: Scene, worker: WorkerView) -> Iterator[Finding]:
    if not worker.running:
        return  # its record expires by itself
    gone = scene.is_gone(worker)
    why = (
        f"Process {worker.pid} does not run here any more."
        if gone
        else "A busy worker speaks up every half minute."
    )
    yield Finding(
        kind="worker-died",
        harm=Harm.LATE,
        title=f"Worker {worker.name} died with {many(worker.running, 'job')} in hand",
        cause=f"{_silence(worker)} {why}",
        evidence=(_place(worker), *(_held(execution) for execution in worker.executions[:5])),
        subjects=(worker.name,),
        count=worker.running,
        cures=(*_take_back(scene, worker), *(() if _others_work(scene, worker) else (START_WORKER,))),
        drill=7,
    )


def _take_back(scene: Scene, worker: WorkerView) -> tuple[Cure, ...]:
    """What becomes of the jobs in a dead worker's hand: nobody else may have them before their lease has ended."""
    held = [run.lease_until for run in worker.executions if run.lease_until and run.lease_until >= scene.at]
    if held:
        seconds = span((max(held) - scene.at).total_seconds() + 1)
        return (
            Cure(label="wait", automatic=f"others take its jobs over when their lease ends, in {seconds}"),
        )
    claimed = scene.ours and all(run.queue in QUEUES for run in worker.executions)
    return (_requeue(tuple(run.job_id for run in worker.executions), claimed),)


def _others_work(scene: Scene, dead: WorkerView) -> bool:
    return any(
        worker.health is WorkerHealth.OK
        and not scene.is_gone(worker)
        and set(worker.queues) >= set(dead.queues)
        for worker in scene.workers
        if worker is not dead
    )


def _quiet(scene: Scene, worker: WorkerView) -> Finding:
    lost = tuple(run.job_id for run in worker.executions if run.lease_until and run.lease_until < scene.at)
    ours = scene.ours and all(run.queue in QUEUES for run in worker.executions)
    return Finding(
        kind="worker-quiet",
        harm=Harm.LATE if worker.running else Harm.RISK,
        title=f"Worker {worker.name} has gone quiet",
        cause=f"{_silence(worker)} It hangs, was killed, or has lost Redis.",
        evidence=(_place(worker), *(_held(execution) for execution in worker.executions[:5])),
        subjects=(worker.name,),
        count=worker.running or 1,
        cures=(
            *((_requeue(lost, ours),) if lost else ()),
            Cure(
                label="stop it and start another",
                action="stop-worker",
                targets=(worker.name,),
                automatic="what it holds is taken back when its lease lapses",
            ),
        ),
        drill=7,
    )


def _overdue(worker: WorkerView, execution: ExecutionView) -> Finding:
    limit = span(execution.timeout_seconds or 0)
    return Finding(
        kind="job-overdue",
        harm=Harm.LATE,
        title=f"A job runs past its limit: {execution.job_id}",
        cause=f"It has run for {span(execution.elapsed_seconds)} and may run for {limit}: what it waits for does not "
        "answer, and cannot be interrupted.",
        evidence=(_held(execution), f"worker {worker.name}, {_place(worker)}"),
        subjects=(execution.job_id,),
        since=execution.started_at,
        cures=(Cure(label="stop it", action="stop-job", targets=(execution.job_id,)),),
        drill=8,
    )


def _lapsed(scene: Scene) -> Iterator[Finding]:
    """Claims that nobody renews: told of by the database where there is one, else by Redis."""
    yield from _lapsed_stories(scene)
    yield from _lapsed_jobs(scene)


def _lapsed_stories(scene: Scene) -> Iterator[Finding]:
    deliveries = scene.deliveries
    if deliveries is not None and deliveries.jobs_lapsed:
        witnesses = deliveries.witnesses.get("lapsed", ())
        since = min((witness.at for witness in witnesses if witness.at), default=None)
        yield Finding(
            kind="job-lease-lapsed",
            harm=Harm.LATE,
            title=f"{many(deliveries.jobs_lapsed, 'story job')} lost the worker",
            cause="Their claim is no longer renewed: the worker died, hangs or has lost the database.",
            evidence=tuple(
                f"{witness.subject}: {witness.detail}, lapsed {scene.ago(witness.at)}"
                for witness in witnesses
            ),
            subjects=tuple(witness.subject for witness in witnesses),
            count=deliveries.jobs_lapsed,
            since=since,
            cures=(
                Cure(
                    label="wait for the next tick",
                    automatic="the delivery loop takes them back within half a minute; they are rung for again",
                ),
            ),
            drill=7,
        )


def _lapsed_jobs(scene: Scene) -> Iterator[Finding]:
    for queue in scene.queues:
        dead = sum(
            w.running for w in scene.workers if w.health is WorkerHealth.DEAD and queue.name in w.queues
        )
        if queue.lapsed and not dead and not (scene.ours and queue.name in QUEUES):
            yield Finding(
                kind="job-lease-lapsed",
                harm=Harm.LATE,
                title=f"{many(queue.lapsed, 'job')} of queue {queue.name} lost the worker",
                cause="They count as started and nobody vouches for them any more.",
                evidence=(
                    f"the oldest started {scene.ago(queue.oldest_running_at)}",
                    *(
                        f"job {job}, held by worker {name or 'unknown'}"
                        for job, name in queue.lapsed_jobs[:5]
                    ),
                ),
                subjects=(queue.name,),
                count=queue.lapsed,
                since=queue.oldest_running_at,
                cures=(
                    Cure(
                        label="queue them again",
                        action="repair-redis",
                        targets=(queue.name,),
                        automatic="a worker on the same queue buries them at its next upkeep, within ten minutes",
                    ),
                ),
                drill=7,
            )


def _versions(scene: Scene) -> Iterator[Finding]:
    living = [w for w in scene.workers if w.health is not WorkerHealth.DEAD and not scene.is_gone(w)]
    ours = [_Seen(w.version, f"worker {w.name} on {w.host}", w.host, w.pid) for w in living if w.threaded]
    ours += [
        _Seen(process.version, f"{process.kind} {process.pid} on {process.host}", process.host, process.pid)
        for process in scene.now.processes.value or ()
        if process.kind != "worker" or not scene.workers
    ]
    yield from _skew(scene, "FixionMail", ours)
    stock = [
        _Seen(w.version, f"worker {w.name} on {w.host}", w.host, w.pid) for w in living if not w.threaded
    ]
    yield from _skew(scene, "RQ", stock)


class _Seen(NamedTuple):
    """A process and the version that it runs."""

    version: str
    place: str
    host: str
    pid: int | None


def _skew(scene: Scene, product: str, seen: Iterable[_Seen]) -> Iterator[Finding]:
    places: dict[str, list[str]] = {}
    known = [each for each in seen if each.version]
    for each in known:
        places.setdefault(each.version, []).append(each.place)
    if len(places) < 2:
        return
    newest = max(places, key=_ordered)
    old = [each for each in known if each.version != newest]
    host = scene.machine.host if scene.machine else ""
    here = scene.names_here({each.pid for each in old if each.pid and each.host == host})
    restart = Cure(label="restart the old ones here", action="restart-process", targets=here)
    update = Cure(label="restart or update the old ones", command="fixionmail processes restart <name>")
    yield Finding(
        kind="version-skew",
        harm=Harm.RISK,
        title=f"{len(places)} versions of {product} run at once",
        cause="An update has not reached every process, or an old one was left running: they may disagree.",
        evidence=tuple(f"{version}: {', '.join(found[:5])}" for version, found in sorted(places.items())),
        subjects=(product, *sorted(places)),
        count=len(old),
        cures=(restart if here else update,),
        drill=24,
    )


def _ordered(version: str) -> tuple[tuple[int, int | str], ...]:
    parts = version.replace("-", ".").split(".")
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts)


def _requeue(ids: tuple[str, ...], claimed: bool) -> Cure:
    """``claimed``: the database decides who may do the work, so that running twice does nothing twice."""
    return Cure(
        label="queue its jobs again",
        action="requeue",
        targets=ids,
        safe=claimed,
        automatic="when their lease ends, a minute or two after the death",
    )


def _silence(worker: WorkerView) -> str:
    if worker.silent_seconds is None:
        return "Its record is gone."
    return f"It last spoke up {span(worker.silent_seconds)} ago."


def _place(worker: WorkerView) -> str:
    return f"host {worker.host or 'unknown'}, pid {worker.pid or 'unknown'}"


def _held(execution: ExecutionView) -> str:
    step = f", step {execution.step}" if execution.step else ""
    return f"job {execution.job_id} on {execution.queue}, running for {span(execution.elapsed_seconds)}{step}"
