"""``fixionmail doctor``: examine everything, and say what would mend it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fixionmail.commands.cures import cure_json, cure_line
from fixionmail.commands.output import AsJson, clean, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fixionmail.ops.doctor import Fixed, Report
    from fixionmail.ops.views.findings import Finding

_MARKS = {"ok": "ok     ", "found": "found  ", "failed": "failed ", "skipped": "skipped"}


def doctor(
    as_json: AsJson = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Use the cures that are safe unasked, and examine again.")
    ] = False,
) -> None:
    """Examine settings, servers, queues, loops, deliveries, providers and this machine; nothing is changed.

    Exit code 1 when something is wrong, 2 when a setting is, 4 when Redis or the database does not answer.
    """
    from fixionmail.ops.doctor import Doctor

    report = Doctor().examine()
    fixed = _fix(report) if fix else ()
    if fixed:
        report = Doctor().examine()
    if as_json:
        print_json(
            {
                "checks": [asdict(check) for check in report.checks],
                "findings": [finding_json(finding) for finding in report.findings],
                "fixed": [_fixed_json(each) for each in fixed],
            }
        )
    else:
        for each in fixed:
            outcome = each.error or ", ".join(f"{n} {word}" for word, n in each.outcomes.items())
            typer.echo(clean(f"fixed   {each.finding.title}: {each.cure.label}: {outcome}"))
        _tell(report)
    raise typer.Exit(report.exit_code)


def _fix(report: Report) -> Sequence[Fixed]:
    from fixionmail.ops import actions
    from fixionmail.ops import doctor as examination
    from fixionmail.settings import load_settings
    from fixionmail.subscribers.service import Operator

    order = actions.Order(operator=Operator.of_this_process(), reason="fixionmail doctor --fix")
    return examination.fix(report, load_settings(), order)


def _fixed_json(fixed: Fixed) -> dict[str, object]:
    return {
        "key": fixed.finding.key,
        "action": fixed.cure.action,
        "outcomes": dict(fixed.outcomes),
        "error": fixed.error,
    }


def finding_json(finding: Finding) -> dict[str, object]:
    """A finding for scripts: as it is, its harm in words, and the key by which it is known again."""
    cures = [cure_json(cure) for cure in finding.cures]
    return {**asdict(finding), "cures": cures, "harm": finding.harm.name.lower(), "key": finding.key}


def _tell(report: Report) -> None:
    for check in report.checks:
        typer.echo(clean(f"{_MARKS[check.state]} {check.name}: {check.words}"))
    for finding in report.findings:
        drill = f" [{finding.kind}]"
        typer.echo("")
        typer.echo(clean(f"{finding.harm.name}: {finding.title}{drill}"))
        typer.echo(f"  {clean(finding.cause)}")
        for line in finding.evidence:
            typer.echo(f"    - {clean(line)}")
        for cure in finding.cures:
            typer.echo(f"  > {cure_line(cure)}")
    if not report.findings:
        typer.echo("\nAll is well.")
