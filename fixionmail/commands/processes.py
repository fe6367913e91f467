"""``fixionmail processes``: what runs on this machine, and what shall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixionmail.commands.output import AsJson, clean, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fixionmail.processes.fleet import Fleet, ProcessLook

app = typer.Typer(
    help="Start, stop and watch the processes of this machine; they go on without a terminal.",
    no_args_is_help=True,
)
Target = Annotated[str, typer.Argument(help="A name like worker-1, a kind like worker, or all.")]
FOLLOW_SECONDS = 0.2


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """Show every process: state, uptime, CPU, memory, restarts, and how the one before it ended."""
    fleet = _fleet()
    looks = fleet.look()
    if as_json:
        print_json({"supervisor": fleet.supervisor_pid(), "processes": [_as_json(look) for look in looks]})
    elif looks:
        _show(looks)
    else:
        typer.echo("Nothing runs here. Start something with: fixionmail processes start worker")


@app.command()
def start(
    target: Annotated[
        str,
        typer.Argument(
            help="A kind (worker, scheduler, delivery, web, redis, postgres) or a name like worker-2."
        ),
    ],
    copies: Annotated[int, typer.Option(min=1, help="Of a kind: so many.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Start processes, with the settings of this terminal and folder; they are restarted when they die."""
    fleet = _fleet()
    _settle(fleet, fleet.start(target, copies), "running", as_json)


@app.command()
def stop(target: Target, as_json: AsJson = False) -> None:
    """Stop processes: they finish what they have begun, and are killed if that takes too long."""
    fleet = _fleet()
    _settle(fleet, fleet.stop(target), "stopped", as_json)


@app.command()
def restart(target: Target, as_json: AsJson = False) -> None:
    """Stop processes and start them again, with the settings they were started with."""
    fleet = _fleet()
    _settle(fleet, fleet.restart(target), "running", as_json)


@app.command()
def scale(
    kind: Annotated[str, typer.Argument(help="worker, scheduler or delivery.")],
    copies: Annotated[int, typer.Argument(min=0, help="How many shall run.")],
    as_json: AsJson = False,
) -> None:
    """Let exactly so many of a kind run."""
    fleet = _fleet()
    before = [look.name for look in fleet.look() if look.kind == kind]
    kept = fleet.scale(kind, copies)
    _settle(fleet, [*kept, *(name for name in before if name not in kept)], "running", as_json)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A process, like worker-1.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 40,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl+C.")
    ] = False,
    matching: Annotated[
        str, typer.Option("--filter", help="Only lines that contain this, in any case.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show the log of a process."""
    import time

    wanted = matching.casefold()
    reader = _fleet().log(name)
    found = reader.tail(lines if not wanted else 10_000)
    found = [line for line in found if wanted in line.casefold()][-lines:] if lines else []
    if as_json and not follow:
        print_json({"name": name, "lines": found})
        return
    while True:
        for line in found:
            if as_json:
                print_json({"name": name, "line": line}, on_one_line=True)
            else:
                typer.echo(clean(line))
        if not follow:
            return
        found = [line for line in reader.news() if wanted in line.casefold()]
        if not found:
            time.sleep(FOLLOW_SECONDS)


@app.command()
def supervise(
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background.")] = False,
) -> None:
    """Supervise this home: restart what dies, until everything is stopped. The others start it by themselves."""
    import os

    if detach:
        if os.fork():
            os._exit(0)
        os.setsid()
    from fixionmail import logs as logging
    from fixionmail.loops.service import stop_on_signals
    from fixionmail.processes.supervisor import supervise as run
    from fixionmail.settings import load_settings

    settings = load_settings()
    logging.set_up("warning")
    with stop_on_signals() as stop:
        if not run(settings.home, stop) and not detach:
            typer.echo("This home has a supervisor already.", err=True)
            raise typer.Exit(1)


def _fleet() -> Fleet:
    from fixionmail.processes.stack import fleet_of
    from fixionmail.settings import load_settings

    return fleet_of(load_settings())


def _settle(fleet: Fleet, names: Sequence[str], goal: str, as_json: bool) -> None:
    """Wait for processes, telling each step; exit code 1 when one does not get where it shall."""
    looks = fleet.settled(names, on_change=lambda look: None if as_json else typer.echo(_sentence(look)))
    if as_json:
        print_json({"processes": [_as_json(look) for look in looks]})
    elif not names:
        typer.echo("Nothing to do: no such process runs here.")
    if any(look.state not in (goal, "stopped") for look in looks):
        raise typer.Exit(1)


def _sentence(look: ProcessLook) -> str:
    words = f"{look.name}: {look.state}"
    if look.state == "stopping":
        return f"{words}; it finishes what it has begun ..."
    if look.state == "running":
        return f"{words} (process {look.pid})"
    return clean(f"{words}: {look.last_end}" if look.last_end not in ("", look.state) else words)


def _show(looks: Sequence[ProcessLook]) -> None:
    rows = [
        [
            look.name,
            look.state,
            "" if look.pid is None else str(look.pid),
            "" if look.uptime is None else _duration(look.uptime),
            "" if look.cpu is None else f"{look.cpu:.1f} %",
            "" if look.rss is None else f"{look.rss / 2**20:.0f} MB",
            str(look.restarts),
            look.last_end,
        ]
        for look in looks
    ]
    print_table(("process", "state", "pid", "up", "cpu", "memory", "restarts", "last end"), rows)
    for note in sorted({look.note for look in looks if look.note}):
        names = ", ".join(look.name for look in looks if look.note == note)
        typer.echo(f"! {names}: {note}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _as_json(look: ProcessLook) -> dict[str, Any]:
    return {
        "name": look.name,
        "kind": look.kind,
        "state": look.state,
        "since": look.since,
        "pid": look.pid,
        "uptime_s": None if look.uptime is None else round(look.uptime, 1),
        "cpu_percent": None if look.cpu is None else round(look.cpu, 1),
        "rss_bytes": look.rss,
        "restarts": look.restarts,
        "last_end": look.last_end or None,
        "port": look.port,
        "note": look.note or None,
    }
