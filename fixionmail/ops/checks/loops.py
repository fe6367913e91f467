"""Loops: does somebody lead each, does the leader tick, and is it allowed to?"""

from __future__ import annotations

from collections.abc import Iterator

from fixionmail.ops.checks.scene import STALLED_AFTER, Scene, many
from fixionmail.ops.views.database import LoopView, ProcessView, SwitchView
from fixionmail.ops.views.findings import Cure, Finding, Harm

_PAUSED_BY_SETTING = "SCHEDULER_PAUSED"
_START_SECONDS = 10.0
"""A loop that could lead has its lease by then."""
_WORK = {"scheduler": "no story is planned and nobody rings for jobs", "delivery": "no mail goes out"}


def check(scene: Scene) -> Iterator[Finding]:
    """Everything about loops and the switches that hold them back."""
    for loop in scene.loops:
        if loop.leader is None:
            yield _leaderless(scene, loop)
        else:
            yield from _ticking(scene, loop, loop.leader)
            if loop.standby:
                yield _standby(scene, loop, loop.leader)
    yield from _fallback(scene)
    if scene.deliveries is not None:
        for switch in scene.deliveries.switches:
            yield _switch(scene, switch)


def _leaderless(scene: Scene, loop: LoopView) -> Finding:
    waiting, what = _waiting(scene, loop.name)
    takes_over = [
        Cure(label="wait", automatic=f"{copy.process} takes over within half a minute")
        for copy in loop.standby[:1]
    ]
    return Finding(
        kind=f"no-{loop.name}",
        harm=Harm.LATE if waiting else Harm.RISK,
        title=f"No {loop.name} runs",
        cause=f"Nobody leads this loop: {_WORK.get(loop.name, 'its work is not done')}.",
        evidence=(f"last tick {scene.ago(loop.last_tick_at)}", f"{many(waiting, what)} waiting"),
        subjects=(loop.name,),
        count=waiting or 1,
        since=loop.last_tick_at,
        cures=(*takes_over, _start(scene, loop.name)),
        drill=11,
    )


def _start(scene: Scene, kind: str) -> Cure:
    """Another one; where one runs here that leads nothing, it hangs, and there will be no other beside it."""
    hanging = tuple(
        process.name
        for process in (scene.machine.processes if scene.machine else ())
        if process.kind == kind and process.state == "running" and (process.uptime or 0) > _START_SECONDS
    )
    if hanging:
        return Cure(
            label="restart it: it runs and hangs",
            action="restart-process",
            targets=hanging,
            command=f"fixionmail processes restart {' '.join(hanging)}",
        )
    return Cure(
        label="start one",
        action="start-process",
        targets=(kind,),
        command=f"fixionmail processes start {kind}",
    )


def _waiting(scene: Scene, loop: str) -> tuple[int, str]:
    deliveries = scene.deliveries
    if deliveries is None:
        return 0, "story"
    if loop == "scheduler":
        return deliveries.unplanned + deliveries.jobs_waiting, "story"
    return deliveries.due, "mail"


def _ticking(scene: Scene, loop: LoopView, leader: ProcessView) -> Iterator[Finding]:
    place = f"{leader.process}, pid {leader.pid} on {leader.host}"
    restart = Cure(label="restart it", action="restart-process", targets=(loop.name,))
    if scene.older(loop.next_tick_at, STALLED_AFTER):
        yield Finding(
            kind="loop-stalled",
            harm=Harm.LATE,
            title=f"The {loop.name} leads and does not tick",
            cause=f"It renews its lease, so nobody takes over, and its tick was due {scene.ago(loop.next_tick_at)}: "
            "it is stuck in one.",
            evidence=(place, f"last tick {scene.ago(loop.last_tick_at)}"),
            subjects=(loop.name,),
            since=loop.next_tick_at,
            cures=(restart,),
            drill=11,
        )
    if not loop.error and loop.note.startswith(_PAUSED_BY_SETTING):
        yield Finding(
            kind="scheduler-paused",
            harm=Harm.RISK,
            title="The scheduler is paused by a setting",
            cause="SCHEDULER_PAUSED is true where it runs: nothing new is planned.",
            evidence=(place,),
            subjects=(_PAUSED_BY_SETTING,),
            cures=(Cure(label="unset it and restart", command="SCHEDULER_PAUSED=false"), restart),
            drill=13,
        )
    elif loop.error:
        yield Finding(
            kind="loop-failing",
            harm=Harm.LATE,
            title=f"The {loop.name}'s last tick failed",
            cause=loop.problem,
            evidence=(place, f"last good tick {scene.ago(loop.last_tick_at)}"),
            subjects=(loop.name,),
            since=loop.last_tick_at,
            cures=(Cure(label="wait", automatic="it tries again within ten seconds"), restart),
            drill=11,
        )


def _standby(scene: Scene, loop: LoopView, leader: ProcessView) -> Finding:
    here = scene.names_here({copy.pid for copy in loop.standby} - {leader.pid})
    names = tuple(copy.process for copy in loop.standby)
    return Finding(
        kind="loop-standby",
        harm=Harm.NOTE,
        title=f"{len(names) + 1} copies of the {loop.name} run, one leads",
        cause="The others stand by and take over within half a minute when it ends. They change nothing until then.",
        evidence=(f"leads: {leader.process}", *(f"stands by: {name}" for name in names[:5])),
        subjects=(loop.name, *names),
        count=len(names),
        cures=(
            Cure(label="stop one", action="stop-process", targets=here[:1])
            if here
            else Cure(label="stop one where it runs", command=f"kill {loop.standby[0].pid}"),
        ),
        drill=12,
    )


def _fallback(scene: Scene) -> Iterator[Finding]:
    """The loops do the work although Redis answers: they come back within a tick, if they can."""
    mode = scene.now.mode.value
    if mode and mode.mode == "fallback" and scene.redis and scene.older(mode.since, 2 * STALLED_AFTER):
        yield Finding(
            kind="fallback",
            harm=Harm.COST,
            title="Fallback goes on although Redis answers",
            cause="The loops do the work themselves: they were told to (ENABLE_REDIS_QUEUE=false), cannot reach this "
            "Redis from where they run, or no worker listens to it.",
            evidence=(f"fallback since {mode.since:%Y-%m-%d %H:%M:%S} UTC", *filter(None, (mode.reason,))),
            subjects=("fallback",),
            since=mode.since,
            cures=(
                Cure(label="start a worker", action="start-process", targets=("worker",)),
                Cure(label="check the loops' settings", command="fixionmail config"),
            ),
            drill=2,
        )


def _switch(scene: Scene, switch: SwitchView) -> Finding:
    paused = switch.name == "scheduler_paused"
    waiting, what = _waiting(scene, "scheduler" if paused else "delivery")
    return Finding(
        kind="scheduler-paused" if paused else "mail-held",
        harm=Harm.LATE if waiting else Harm.RISK,
        title="Planning is paused" if paused else "All mail is held",
        cause=f"{switch.by} turned the switch {switch.name} on{f': {switch.reason}' if switch.reason else ''}.",
        evidence=(
            *((f"since {switch.since:%Y-%m-%d %H:%M:%S} UTC",) if switch.since else ()),
            f"{many(waiting, what)} waiting",
        ),
        subjects=(switch.name,),
        count=waiting or 1,
        since=switch.since,
        cures=(
            Cure(label="resume planning", action="resume-scheduler")
            if paused
            else Cure(label="release the hold", action="release-hold", command="fixionmail db release"),
        ),
        drill=13,
    )
