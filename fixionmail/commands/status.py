"""``fixionmail status``: the deployment at one look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fixionmail.commands.looking import Watch, show
from fixionmail.commands.output import AsJson
from fixionmail.errors import UnreachableError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fixionmail.ops.status import Status
    from fixionmail.settings import Settings


def status(as_json: AsJson = False, watch: Watch = False) -> None:
    """Show mode, queues, workers, leaders, today's stories and where mail goes."""
    from fixionmail.settings import load_settings

    settings = load_settings()

    def look() -> tuple[Mapping[str, Any], RenderableType]:
        seen = look_at(settings)
        return seen.to_json(), view(seen)

    show(look, as_json=as_json, watch=watch)


def look_at(settings: Settings) -> Status:
    """One look at the deployment of these settings."""
    from fixionmail.ops.status import look
    from fixionmail.ops.target import redis_url_of
    from fixionmail.store import embedded, open_store

    on_this_machine = settings.database_url is None and settings.supabase_url is None
    if on_this_machine and embedded.running_url(settings.home) is None:
        raise UnreachableError(
            f"Nothing runs in {settings.home}: start it with fixionmail up, or set DATABASE_URL."
        )
    with open_store(settings, max_connections=1) as store:
        return look(settings, store, redis_url_of(settings))


def view(seen: Status) -> RenderableType:
    """The status as a person reads it. Everything is text: nothing from the database is taken for markup."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from fixionmail.ops.status import LOOPS, funnel

    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    facts.add_row("mode", Text(_mode(seen)))
    facts.add_row("redis", Text(seen.redis, style="" if seen.redis in ("ok", "not used") else "red"))
    facts.add_row("mail to", Text(seen.mail, style="yellow" if "outbox" in seen.mail else ""))
    for queue in seen.queues:
        words = f"{queue.waiting} waiting, {queue.running} running, {queue.failed} failed"
        facts.add_row(f"queue {queue.name}", Text(words))
    facts.add_row("workers", Text(_workers(seen)))
    for loop in LOOPS:
        facts.add_row(loop, Text(_leader(seen, loop)))
    counts = funnel(seen.overview)
    facts.add_row(
        f"stories {seen.overview.day}",
        Text(", ".join(f"{n} {what}" for what, n in counts.items())),
    )
    waiting = f"{seen.overview.jobs_waiting} to write, {seen.overview.deliveries_due} to send"
    facts.add_row("due now", Text(waiting))
    notes = [
        Text(
            f"! {switch.name} since {switch.set_at:%H:%M} UTC by {switch.set_by}: {switch.reason}",
            style="yellow",
        )
        for switch in seen.overview.switches
    ]
    notes += [
        Text(f"! the line to {line.name} stands still: {line.paused_reason}", style="red")
        for line in seen.overview.lines
        if line.paused_reason
    ]
    return Group(facts, *notes)


def _mode(seen: Status) -> str:
    return f"{seen.mode} since {seen.mode_since[11:19]} UTC" if seen.mode_since else seen.mode


def _workers(seen: Status) -> str:
    if not seen.workers:
        return "none"
    return ", ".join(f"pid {worker.pid} on {worker.host}" for worker in seen.workers)


def _leader(seen: Status, loop: str) -> str:
    leader = seen.leader(loop)
    if leader is None:
        return "nobody leads"
    info = leader.info
    last, following = info.get("last_tick_at"), info.get("next_tick_at")
    ticks = f"last tick {str(last)[11:19]}" if last else "no tick yet"
    if following:
        ticks += f", next {str(following)[11:19]} UTC"
    problem = info.get("error") or info.get("note") or ""
    return f"pid {info.get('pid')} on {info.get('host')}, {ticks}" + (f"; {problem}" if problem else "")
