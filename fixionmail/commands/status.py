"""``fixionmail status``: the deployment at one look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from fixionmail.commands.doctor import finding_json
from fixionmail.commands.looking import Watch, error_of, opened_observer, show
from fixionmail.commands.output import AsJson, plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from fixionmail.ops.views.database import LoopView, ProcessView
    from fixionmail.ops.views.findings import Finding
    from fixionmail.ops.views.section import Section
    from fixionmail.ops.views.snapshot import Snapshot


def status(as_json: AsJson = False, watch: Watch = False) -> None:
    """Show mode, queues, workers, leaders, today's stories, where mail goes, and what is wrong at one look.

    What does not answer is shown as such; exit code 4 when that is the database, 2 when it refuses us.
    """
    with opened_observer() as observer:
        if watch:
            show(lambda: _parts(observer.look()), as_json=as_json, watch=True)
        seen = observer.look()
        trouble = error_of(seen.database)
        if trouble is not None and not seen.redis.ok:
            raise trouble
        show(lambda: _parts(seen), as_json=as_json)
    if trouble is not None:
        raise typer.Exit(trouble.exit_code)


def _parts(seen: Snapshot) -> tuple[dict[str, Any], RenderableType]:
    from fixionmail.ops.checks import find

    found = find(seen)
    return {**document(seen), "findings": [finding_json(finding) for finding in found]}, view(seen, found)


# ---- for scripts -----------------------------------------------------------------------------------------------------


def document(seen: Snapshot) -> dict[str, Any]:
    """A look for scripts; null is what could not be seen."""
    mode, funnel, mail = seen.mode.value, seen.funnel.value, seen.deliveries.value
    return {
        "now": seen.taken_at,
        "mode": mode.mode if mode else "unknown",
        "mode_since": mode.since if mode and mode.since else "",
        "database": _answer(seen.database),
        "redis": _answer(seen.redis),
        "mail": seen.target.mail,
        "queues": {
            queue.name: {"waiting": queue.waiting, "running": queue.running, "failed": queue.failed}
            for queue in seen.queues.value or ()
        },
        "workers": [_process_json(process) for process in _workers(seen)],
        "leaders": {loop.name: _leader_json(loop) for loop in seen.loops.value} if seen.loops.value else None,
        "funnel": {"day": funnel.day, **funnel.steps} if funnel else None,
        "jobs_waiting": mail.jobs_waiting if mail else None,
        "jobs_running": mail.jobs_running if mail else None,
        "deliveries_due": mail.due if mail else None,
        "switches": [{"name": s.name, "set_by": s.by, "reason": s.reason} for s in mail.switches]
        if mail
        else None,
        "lines": [
            {"name": line.name, "rate": line.rate, "paused_reason": line.paused_reason or None}
            for line in mail.lines
        ]
        if mail
        else None,
    }


def _answer(section: Section[Any]) -> str:
    """``ok``, ``not used``, or why it does not answer."""
    return section.error or ("not used" if section.absent else "ok")


def _workers(seen: Snapshot) -> tuple[ProcessView, ...]:
    """Workers that have reported themselves to the database."""
    return tuple(process for process in seen.processes.value or () if process.kind == "worker")


def _process_json(process: ProcessView) -> dict[str, Any]:
    return {
        **process.info,
        "process": process.process,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "silent_s": round(process.silent_seconds, 1),
    }


def _leader_json(loop: LoopView) -> dict[str, Any] | None:
    if loop.leader is None:
        return None
    return {
        "holder": loop.leader.process,
        "fence": loop.fence,
        "last_tick_at": loop.last_tick_at,
        "next_tick_at": loop.next_tick_at,
        "counts": loop.counts,
        "note": loop.note or None,
        "error": loop.error or None,
    }


# ---- for people ------------------------------------------------------------------------------------------------------


def view(seen: Snapshot, found: Sequence[Finding]) -> RenderableType:
    """A look as a person reads it, and what is wrong. Everything is text: nothing from outside is taken for markup."""
    from rich.console import Group
    from rich.table import Table

    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(seen):
        facts.add_row(name, value)
    return Group(facts, *_troubles(found))


def _facts(seen: Snapshot) -> Iterator[tuple[str, Text]]:
    mail, funnel = seen.deliveries.value, seen.funnel.value
    yield "mode", plain(_mode(seen))
    if seen.database.error:
        yield "database", plain(seen.database.error, "red")
    yield "redis", plain(_answer(seen.redis), "red" if seen.redis.error else "")
    yield "mail to", plain(seen.target.mail, "yellow" if "outbox" in seen.target.mail else "")
    for queue in seen.queues.value or ():
        words = f"{queue.waiting} waiting, {queue.running} running, {queue.failed} failed"
        yield f"queue {queue.name}", plain(words)
    if seen.processes.ok:
        workers = ", ".join(f"pid {worker.pid} on {worker.host}" for worker in _workers(seen))
        yield "workers", plain(workers or "none")
    for loop in seen.loops.value or ():
        yield loop.name, plain(_leader(loop))
    if funnel and mail:
        yield f"stories {funnel.day}", plain(", ".join(f"{n} {what}" for what, n in funnel.steps.items()))
        yield "due now", plain(f"{mail.jobs_waiting} to write, {mail.due} to send")


def _mode(seen: Snapshot) -> str:
    mode = seen.mode.value
    if mode is None:
        return "unknown"
    since = f" since {mode.since:%H:%M:%S} UTC" if mode.since else ""
    return f"{mode.mode}{since}{f': {mode.reason}' if mode.reason else ''}"


def _leader(loop: LoopView) -> str:
    if loop.leader is None:
        return "nobody leads"
    ticks = f"last tick {loop.last_tick_at:%H:%M:%S}" if loop.last_tick_at else "no tick yet"
    if loop.next_tick_at:
        ticks += f", next {loop.next_tick_at:%H:%M:%S} UTC"
    problem = f"; {loop.problem}" if loop.problem else ""
    return f"pid {loop.leader.pid} on {loop.leader.host}, {ticks}{problem}"


def _troubles(found: Sequence[Finding]) -> Iterator[Text]:
    from fixionmail.ops.views.findings import Harm

    for finding in found:
        if finding.harm > Harm.NOTE:
            style = "red" if finding.harm >= Harm.LATE else "yellow"
            yield plain(f"! {finding.title}. {finding.cause}", style)
