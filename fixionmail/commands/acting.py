"""What every command that acts has: a preview, a yes, progress, an outcome for each target, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fixionmail.commands.ending import ended_between_chunks
from fixionmail.commands.looking import KeyPrefix, RedisUrl, opened_observer, wanted_url
from fixionmail.commands.output import AsJson, clean, print_json, print_table
from fixionmail.commands.session import Yes, confirm
from fixionmail.errors import FixionMailError, InputError

if TYPE_CHECKING:
    from fixionmail.ops.actions import Action, Hands
    from fixionmail.ops.views.findings import Preview, Progress

Targets = Annotated[list[str] | None, typer.Argument(metavar="ID...", show_default=False)]
AllMatching = Annotated[
    str | None,
    typer.Option(
        metavar="FILTER", help="Every job that this filter finds, instead of ids.", show_default=False
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Why = Annotated[str, typer.Option("--reason", help="Kept on record.", show_default=False)]
Rate = Annotated[float | None, typer.Option(min=0.1, help="At most so many a second.", show_default=False)]

SHOWN = 20
"""Outcomes that people see one by one; more are counted."""
OK, PROBLEM, PARTLY = 0, 1, 3


def act(
    name: str,
    targets: Sequence[str],
    *,
    all_matching: str | None = None,
    reason: str = "",
    yes: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
    rate: float | None = None,
    detail: str = "",
    redis_url: str | None = None,
    key_prefix: str = "rq",
) -> None:
    """Preview an action, ask, do it, tell what became of each target, and end with the exit code.

    ``detail``: what it needs beside its targets, see :class:`~fixionmail.ops.actions.Order`.

    Raises:
        FixionMailError: it cannot be done here; nothing was changed.
    """
    from fixionmail.ops import actions
    from fixionmail.subscribers.service import Operator

    with opened_hands(redis_url, key_prefix) as hands:
        wanted = actions.action(name)
        chosen = _chosen(hands, wanted, targets, all_matching)
        preview = actions.preview(hands, name, chosen, detail=detail)
        _show(preview, wanted, as_json=as_json, dry_run=dry_run, asks=not yes)
        if dry_run:
            return
        if not preview.count:
            _tell_of_nothing(as_json=as_json)
            return
        if not yes:
            confirm(f"{wanted.label}: {preview.count:,} in all?")
        order = actions.Order(operator=Operator.of_this_process(), reason=reason, detail=detail)
        run = partial(actions.run, hands, preview, order, rate=rate)
        _tell(run, preview, as_json=as_json)


def on_named(action: str, needs: str) -> Callable[..., None]:
    """A command that does ``action`` to what is named; ``needs`` is said when nothing is."""

    def command(
        names: Targets = None,
        reason: Why = "",
        dry_run: DryRun = False,
        yes: Yes = False,
        as_json: AsJson = False,
        redis_url: RedisUrl = None,
        key_prefix: KeyPrefix = "rq",
    ) -> None:
        if not names:
            raise InputError(needs)
        act(
            action,
            names,
            reason=reason,
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
            redis_url=redis_url,
            key_prefix=key_prefix,
        )

    return command


def on_all(action: str) -> Callable[..., None]:
    """A command that does ``action`` to the whole Redis."""

    def command(
        reason: Why = "",
        dry_run: DryRun = False,
        yes: Yes = False,
        as_json: AsJson = False,
        redis_url: RedisUrl = None,
        key_prefix: KeyPrefix = "rq",
    ) -> None:
        act(
            action,
            (),
            reason=reason,
            dry_run=dry_run,
            yes=yes,
            as_json=as_json,
            redis_url=redis_url,
            key_prefix=key_prefix,
        )

    return command


@contextmanager
def opened_hands(redis_url: str | None, prefix: str) -> Iterator[Hands]:
    """The deployment of the settings; with ``redis_url`` that Redis alone."""
    from fixionmail.ops.actions import Hands

    with opened_observer(redis_url, prefix) as observer:
        hands = Hands(
            redis_url=None if redis_url is None else wanted_url(redis_url),
            store=observer.store if observer.has_database else None,
            settings=observer.settings,
            prefix=prefix,
        )
        with closing(hands):
            yield hands


def _chosen(hands: Hands, wanted: Action, targets: Sequence[str], all_matching: str | None) -> Sequence[str]:
    from fixionmail.ops.connection import RedisReader
    from fixionmail.ops.matching import deliveries_matching, rows_matching

    if all_matching is None:
        if not all(target.strip() for target in targets):
            raise InputError("An empty name means nothing: say which.")
        return targets
    if targets:
        raise InputError("Name ids, or --all-matching; not both.")
    if wanted.about == "delivery":
        return [str(found.delivery_id) for found in deliveries_matching(hands.store, all_matching)]
    reader = RedisReader(hands.redis_url or "", prefix=hands.redis.prefix)
    try:
        return [row.job_id for row in rows_matching(reader, all_matching)]
    finally:
        reader.close()


def _show(preview: Preview, wanted: Action, *, as_json: bool, dry_run: bool, asks: bool) -> None:
    """The preview: a document of its own for a script's dry run, and seen by whoever is asked for a yes."""
    if as_json and dry_run:
        document = {"action": preview.action, "count": preview.count, "samples": preview.samples}
        print_json({**document, "warnings": preview.warnings, "command": preview.command})
        return
    if as_json and not asks:
        return
    typer.echo(f"{wanted.label}: {preview.count:,} in all", err=True)
    for sample in preview.samples:
        typer.echo(f"  {clean(sample)}", err=True)
    if preview.count > len(preview.samples):
        typer.echo(f"  and {preview.count - len(preview.samples):,} more", err=True)
    for warning in preview.warnings:
        typer.echo(f"Warning: {clean(warning)}", err=True)


def _tell_of_nothing(*, as_json: bool) -> None:
    if as_json:
        print_json({"total": 0, "outcomes": {}, "targets": []})
    else:
        typer.echo("There is nothing to change.")


def _tell(run: Callable[..., Iterator[Progress]], preview: Preview, *, as_json: bool) -> None:
    last: Progress | None = None
    details: list[tuple[str, str]] = []
    try:
        with ended_between_chunks() as pause:
            for last in run(pause=pause):
                details += last.details
                _show_progress(last)
    except (KeyboardInterrupt, SystemExit, FixionMailError):
        done = last.done if last else 0
        if last is not None and as_json:
            _print_outcomes(last, details, preview, as_json=True)
        words = f"\nInterrupted: {done:,} are done and on record. The same command does the rest."
        typer.echo(words, err=True)
        raise
    if last is None:
        return
    _print_outcomes(last, details, preview, as_json=as_json)
    good = sum(count for word, count in last.outcomes.items() if preview.is_done(word))
    raise typer.Exit(OK if good == last.total else PARTLY if good else PROBLEM)


def _show_progress(step: Progress) -> None:
    if sys.stderr.isatty() and step.total > SHOWN:
        end = "\n" if step.finished else ""
        typer.echo(f"\r{step.done:,} of {step.total:,}", err=True, nl=False)
        typer.echo(end, err=True, nl=False)


def _print_outcomes(
    last: Progress, details: list[tuple[str, str]], preview: Preview, *, as_json: bool
) -> None:
    if as_json:
        outcomes: list[dict[str, Any]] = [{"target": target, "outcome": word} for target, word in details]
        counts = {"total": last.total, "outcomes": dict(last.outcomes), "warnings": preview.warnings}
        print_json({**counts, "targets": outcomes})
    elif len(details) <= SHOWN:
        print_table(("target", "outcome"), details)
    else:
        print_table(("outcome", "how many"), ((word, f"{count:,}") for word, count in last.outcomes.items()))
