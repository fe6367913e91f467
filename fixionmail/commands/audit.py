"""``fixionmail audit``: whether Redis agrees with itself, and with the database."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from fixionmail.commands.cures import cure_json, cure_line, same_redis
from fixionmail.commands.ending import ended_in_order
from fixionmail.commands.looking import KeyPrefix, RedisUrl, opened_observer
from fixionmail.commands.output import AsJson, clean, print_json
from fixionmail.errors import UnreachableError

if TYPE_CHECKING:
    from fixionmail.ops.audit import AuditStep
    from fixionmail.ops.snapshot import Observer
    from fixionmail.ops.views.findings import Finding

IDS_SHOWN = 5


def audit(as_json: AsJson = False, redis_url: RedisUrl = None, key_prefix: KeyPrefix = "rq") -> None:
    """Compare every list, registry and record of RQ's, and those of our own Redis with the database.

    Nothing is changed. Exit code 1 when something is wrong, 4 when the database could not be asked. Takes seconds for a
    million jobs, and never holds Redis up for more than some milliseconds. Ctrl+C ends it.
    """
    with opened_observer(redis_url, key_prefix) as observer:
        last = _run(observer, tell=not as_json and sys.stderr.isatty())
    same = same_redis(redis_url, key_prefix)
    if as_json:
        findings = [
            {**asdict(finding), "cures": [cure_json(cure, same=same) for cure in finding.cures]}
            for finding in last.findings
        ]
        document = {"looked_at": last.total, "commands": last.commands, "note": last.note}
        print_json({"findings": findings, **document})
    else:
        _tell(last, same)
    if last.findings or last.note:
        raise typer.Exit(1 if last.findings else UnreachableError.exit_code)


def _tell(last: AuditStep, same: str) -> None:
    for finding in last.findings:
        _tell_of(finding, same)
    if not last.findings:
        typer.echo(f"Nothing is wrong: {last.total:,} keys and entries agree.")
    if last.note:
        typer.echo(clean(last.note), err=True)


def _tell_of(finding: Finding, same: str) -> None:
    ids = ", ".join(map(clean, finding.subjects[:IDS_SHOWN]))
    typer.echo(finding.title)
    typer.echo(f"  {finding.cause}")
    typer.echo(f"  {ids}{' ...' if finding.count > IDS_SHOWN else ''}")
    for cure in finding.cures:
        typer.echo(f"  > {cure_line(cure, same=same)}")


def _run(observer: Observer, *, tell: bool) -> AuditStep:
    from rich.console import Console

    from fixionmail.ops import audit as audits
    from fixionmail.ops.audit_database import database_side

    steps = audits.audit(observer.reader, database_side(observer))
    if not tell:
        *_, last = steps
        return last
    with ended_in_order(), Console(stderr=True, markup=False).status("…") as status:
        for step in steps:
            status.update(f"{step.done / max(step.total, 1):4.0%} {step.what}")
    return step
