"""``fixionmail db``: bring the database up to date, see where it stands, and hold all mail back after a restore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixionmail.commands import db_repair
from fixionmail.commands.acting import DryRun, Targets, Why, act
from fixionmail.commands.db_reconcile import reconcile
from fixionmail.commands.output import AsJson, print_json, print_table
from fixionmail.commands.session import Yes, opened_store

if TYPE_CHECKING:
    from fixionmail.settings import Settings
    from fixionmail.store.migrations import Status

app = typer.Typer(
    help="Bring the database up to date, see where it stands, hold and release mail.", no_args_is_help=True
)
app.command("repair")(db_repair.repair)

SwitchReason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.", show_default=False)
]


@app.command()
def migrate(
    sql: Annotated[
        bool,
        typer.Option("--sql", help="Print what is missing as a script for a SQL editor; change nothing."),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be done, in numbers, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Apply the migrations that the database lacks. Safe to run again, and by several processes at once."""
    from fixionmail.settings import load_settings

    settings = load_settings()
    if sql:
        _print_script(settings, as_json)
    elif plan:
        _plan(settings, as_json)
    else:
        _apply(settings, as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """List the migrations that are applied, missing, unknown or changed. Exit code 1 unless all is well."""
    from fixionmail.settings import load_settings

    found = _status(load_settings())
    if as_json:
        print_json(
            {
                "applied": found.applied,
                "missing": found.missing,
                "unknown": found.unknown,
                "changed": found.changed,
            }
        )
    else:
        print_table(("migration", "state"), _states(found))
        if found.missing:
            typer.echo(f"{len(found.missing)} missing: run fixionmail db migrate.")
    raise typer.Exit(1 if found.missing or found.unknown or found.changed else 0)


@app.command()
def hold(reason: SwitchReason, as_json: AsJson = False) -> None:
    """Let no mail go out, for instance after a restore, until it is released. Planning and writing go on."""
    _hold_mail(True, reason, as_json)


@app.command()
def release(reason: SwitchReason, as_json: AsJson = False) -> None:
    """Let mail go out again."""
    _hold_mail(False, reason, as_json)


@app.command()
def open_line(
    lines: Targets = None,
    reason: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let lines to providers that stand still go on at once; the provider's next answer may stop them again."""
    from fixionmail.errors import InputError

    if not lines:
        raise InputError("Say which lines; fixionmail status names those that stand still.")
    act("open-line", lines, reason=reason, dry_run=dry_run, yes=yes, as_json=as_json)


app.command()(reconcile)


def _hold_mail(on: bool, reason: str, as_json: bool) -> None:
    from fixionmail.subscribers.service import Operator

    who = Operator.of_this_process()
    with opened_store() as store:
        changed = store.leases.set_switch(name="mail_held", on=on, by=who.name, host=who.host, reason=reason)
    if as_json:
        print_json({"mail_held": on, "verdict": "ok" if changed else "already"})
        return
    already = "" if changed else " already"
    if on:
        typer.echo(f"Mail is held{already}: nothing goes out until fixionmail db release.")
    else:
        typer.echo(f"Mail goes out{already}. Look at fixionmail deliveries list --state uncertain.")


def _apply(settings: Settings, as_json: bool) -> None:
    from fixionmail.store import migrations

    with _postgres(settings) as url:
        applied = migrations.migrate(url)
        is_new = bool(applied) and applied[0] == migrations.known_migrations()[0].name
        taken_over = migrations.taken_over(url) if is_new else None
    if as_json:
        print_json({"applied": applied} | ({"taken_over": taken_over} if taken_over else {}))
        return
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("Nothing to do: the database has all migrations.")
    _tell_of(taken_over, "Taken over")


def _plan(settings: Settings, as_json: bool) -> None:
    from fixionmail.store import migrations, require_made

    require_made(settings)
    with _postgres(settings) as url:
        plan = migrations.plan(url)
    if as_json:
        print_json({"missing": plan.missing, "taken_over": plan.taken_over})
        return
    for name in plan.missing:
        typer.echo(f"would apply {name}")
    if not plan.missing:
        typer.echo("Nothing to do: the database has all migrations.")
    _tell_of(plan.taken_over, "Would take over")


@contextmanager
def _postgres(settings: Settings) -> Iterator[str]:
    """The database over Postgres's own protocol.

    Raises:
        SettingsError: only Supabase's API is set.
    """
    from fixionmail.errors import SettingsError
    from fixionmail.store import database_url

    with database_url(settings) as url:
        if url is None:
            raise SettingsError(
                "Supabase's API cannot change tables. Set DATABASE_URL to the project's connection string "
                "(Supabase: Connect > Session pooler), or run fixionmail db migrate --sql and paste what it prints "
                "into the project's SQL editor."
            )
        yield url


def _tell_of(taken_over: Mapping[str, Any] | None, what: str) -> None:
    """The numbers of a take-over, before and after, if there was one."""
    if taken_over is None:
        return
    typer.echo(f"{what} from the earlier FixionMail, whose tables stay in the schema `earlier`:")
    for name, after in taken_over["after"].items():
        typer.echo(f"  {name}: {_in_words(taken_over['before'][name])} -> {_in_words(after)}")
    for name, number in taken_over["left_behind"].items():
        if number:
            typer.echo(f"  left there: {number} {name}")


def _in_words(numbers: int | Mapping[str, int]) -> str:
    if isinstance(numbers, int):
        return str(numbers)
    return ", ".join(f"{number} {name}" for name, number in sorted(numbers.items())) or "0"


def _print_script(settings: Settings, as_json: bool) -> None:
    from fixionmail.errors import DatabaseNewerError

    found = _status(settings)
    if found.unknown or found.changed:
        raise DatabaseNewerError(
            "The database has migrations of another FixionMail: see fixionmail db status. Use that version."
        )
    script = _script(found.missing)
    if as_json:
        print_json({"missing": found.missing, "sql": script})
    else:
        typer.echo(script, nl=False)


def _script(names: tuple[str, ...]) -> str:
    """SQL that applies the migrations of these names, each whole or not at all, and records them."""
    from fixionmail.store.migrations import known_migrations

    if not names:
        return "-- Nothing to do: the database has all migrations.\n"
    parts = [
        f"-- {migration.name}\nbegin;\n{migration.sql.rstrip()}\n"
        f"select record_migration_v1({migration.version}, '{migration.name}', '{migration.checksum}');\ncommit;\n"
        for migration in known_migrations()
        if migration.name in names
    ]
    return "\n".join(
        [*parts, "-- Let Supabase's API see the new functions.\nnotify pgrst, 'reload schema';\n"]
    )


def _status(settings: Settings) -> Status:
    from fixionmail.store import database_url, migrations, require_made

    require_made(settings)
    with database_url(settings) as url:
        if url is not None:
            return migrations.status(url)
    from fixionmail.store.rpc import RpcTransport

    with closing(RpcTransport.from_settings(settings, max_connections=1)) as transport:
        return migrations.status_through(transport)


def _states(found: Status) -> Iterator[tuple[str, str]]:
    for name in sorted({*found.applied, *found.missing}):
        if name in found.missing:
            yield name, "missing"
        elif name in found.changed:
            yield name, "changed: applied with another text than this FixionMail has"
        elif name in found.unknown:
            yield name, "unknown: applied by a newer FixionMail"
        else:
            yield name, "applied"
