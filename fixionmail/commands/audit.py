"""``fixionmail audit``: whether Redis agrees with itself."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from fixionmail.commands.looking import KeyPrefix, RedisUrl, opened_reader
from fixionmail.commands.output import AsJson, clean, print_json

if TYPE_CHECKING:
    from fixionmail.ops.audit import AuditStep
    from fixionmail.ops.connection import RedisReader
    from fixionmail.ops.views.findings import Finding

IDS_SHOWN = 5


def audit(as_json: AsJson = False, redis_url: RedisUrl = None, key_prefix: KeyPrefix = "rq") -> None:
    """Compare every list, registry and record of RQ's; nothing is changed. Exit code 1 when something is wrong.

    Takes seconds for a million jobs, and never holds Redis up for more than some milliseconds. Ctrl+C ends it.
    """
    with opened_reader(redis_url, key_prefix) as reader:
        last = _run(reader, tell=not as_json and sys.stderr.isatty())
    if as_json:
        findings = [asdict(finding) for finding in last.findings]
        print_json({"findings": findings, "looked_at": last.total, "commands": last.commands})
    elif last.findings:
        for finding in last.findings:
            _tell(finding)
    else:
        typer.echo(f"Nothing is wrong: {last.total:,} keys and entries agree.")
    if last.findings:
        raise typer.Exit(1)


def _tell(finding: Finding) -> None:
    ids = ", ".join(map(clean, finding.subjects[:IDS_SHOWN]))
    typer.echo(finding.title)
    typer.echo(f"  {finding.cause}")
    typer.echo(f"  {ids}{' ...' if finding.count > IDS_SHOWN else ''}")
    for cure in finding.cures:
        typer.echo(f"  {cure.automatic or cure.label + '.'}")


def _run(reader: RedisReader, *, tell: bool) -> AuditStep:
    from rich.console import Console

    from fixionmail.ops import audit as audits

    if not tell:
        *_, last = audits.audit(reader)
        return last
    with Console(stderr=True, markup=False).status("…") as status:
        for step in audits.audit(reader):
            status.update(f"{step.done / max(step.total, 1):4.0%} {step.what}")
    return step
