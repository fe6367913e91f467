"""``fixionmail redis``: a Redis on this machine, where none is named or none answers."""

from __future__ import annotations

import typer

from fixionmail.commands.output import AsJson, clean, print_facts, print_json

app = typer.Typer(help="A Redis on this machine, where none is named or none answers.", no_args_is_help=True)


@app.command()
def up(as_json: AsJson = False) -> None:
    """Use what answers at REDIS_URL, else start a local Redis: the bundled one, one on PATH, or Docker's."""
    from fixionmail.processes.redis_service import start_local_redis
    from fixionmail.settings import load_settings

    _say(start_local_redis(load_settings()), as_json)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop the local Redis; its data stays, and the loops do the work themselves."""
    from fixionmail.processes.redis_service import stop_local_redis
    from fixionmail.settings import load_settings

    _say(stop_local_redis(load_settings()), as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show which Redis is meant and how it stands; exit code 4 when it does not answer."""
    from dataclasses import asdict

    from fixionmail.processes.redis_service import look_at_redis
    from fixionmail.settings import load_settings

    look = look_at_redis(load_settings())
    if as_json:
        print_json(asdict(look))
    else:
        facts = {
            "redis": look.url or "none",
            "answers": "yes" if look.answers else f"no: {look.trouble}",
            "engine": look.engine,
            "persistence": look.persistence,
            "when full": look.policy,
            "local process": "" if look.pid is None else str(look.pid),
            "local folder": look.folder,
        }
        print_facts((name, value) for name, value in facts.items() if value)
    if not look.answers:
        raise typer.Exit(4)


def _say(words: str, as_json: bool) -> None:
    if as_json:
        print_json({"said": words})
    else:
        typer.echo(clean(words))
