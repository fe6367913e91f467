"""``fixionmail stories``: what was written, what it cost, and writing one by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from fixionmail.commands import stories_preview
from fixionmail.commands.output import AsJson, clean, moment, print_facts, print_json, print_table
from fixionmail.commands.session import Yes, confirm, opened_store, opened_to_look

if TYPE_CHECKING:
    from fixionmail.models.stories import StoryRecord, Usage, WrittenStory
    from fixionmail.store import Store

app = typer.Typer(help="What was written, what it cost, and writing one by hand.", no_args_is_help=True)
app.command("preview")(stories_preview.preview)

PAGE = 200
StoryId = Annotated[
    UUID, typer.Argument(metavar="ID", help="Of a story, its job or its delivery.", show_default=False)
]


@app.command("list")
def list_(
    email: Annotated[str | None, typer.Option(metavar="WHO", help="Only this subscriber's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List stories, newest first, with what each took."""
    from fixionmail.subscribers import service

    with opened_to_look() as store:
        user = service.find(store, email).user_id if email else None
        found = _listed(store, user, limit + 1)
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"stories": [asdict(row) for row in shown], "more": more})
        return
    print_table(
        ("story", "date", "subscriber", "title", "writer", "mail", "requests", "tokens", "USD"),
        map(_row, shown),
    )
    if more:
        typer.echo(f"These are the first {limit}; there are more: --limit, --email.")
    elif not shown:
        typer.echo("No stories found.")


@app.command()
def show(
    story_id: StoryId,
    text: Annotated[bool, typer.Option("--text", help="Print the story itself, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one story with every request it took. Exit code 1 if unknown."""
    record = _record(story_id)
    if as_json:
        print_json({"story": asdict(record)})
        return
    print_facts(_facts(record))
    if record.requests:
        print_table(
            ("step", "asked (UTC)", "of", "outcome", "tokens in, out", "USD", "answer"),
            (
                (
                    request.step,
                    moment(request.begun_at),
                    f"{request.line.removeprefix('stories/')} {request.model}",
                    request.outcome,
                    _tokens(request.usage),
                    _usd(request.cost_usd),
                    request.error,
                )
                for request in record.requests
            ),
        )
    if text:
        for paragraph in record.body.split("\n\n"):
            typer.echo("\n" + clean(paragraph))


@app.command()
def rewrite(
    story_id: StoryId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit log.")] = "no reason given",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Have a story written anew whose mail nobody has begun; its subscriber is not charged again."""
    from fixionmail.errors import InputError
    from fixionmail.subscribers.service import Operator

    who = Operator.of_this_process()
    record = _record(story_id)
    if not yes:
        confirm(
            f"Throw away {clean(record.story.title)!r} for {clean(record.story.email)}, and write it anew?"
        )
    with opened_store() as store:
        verdict, why = store.writing.rewrite(record.story.story_id, by=who.name, host=who.host, reason=reason)
    if as_json:
        print_json({"verdict": verdict, "reason": why, "story_id": record.story.story_id})
        raise typer.Exit(0 if verdict in ("ok", "already") else 1)
    words = {"changed": "it has changed meanwhile: look again", "gone": "it is gone", "refused": why}
    if verdict in words:
        raise InputError(f"The story is left as it is: {words[verdict]}.")
    typer.echo("It is being written anew.")


def _listed(store: Store, user: UUID | None, limit: int) -> list[WrittenStory]:
    found: list[WrittenStory] = []
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        page = store.writing.list(user_id=user, before=found[-1].story_id if found else None, limit=size)
        found += page
        if len(page) < size:
            break
    return found


def _record(story_id: UUID) -> StoryRecord:
    from fixionmail.errors import FixionMailError

    with opened_to_look() as store:
        record = store.writing.show(story_id)
    if record is None:
        raise FixionMailError(f"There is no story {story_id}.")
    return record


def _row(row: WrittenStory) -> tuple[str, ...]:
    return (
        str(row.story_id),
        str(row.local_date),
        row.email,
        row.title,
        f"{row.writer} (fallback)" if row.fallback_from else row.writer,
        row.delivery_state,
        str(row.requests),
        _tokens(row.usage),
        _sum(row),
    )


def _facts(record: StoryRecord) -> Iterator[tuple[str, str]]:
    row = record.story
    yield "title", row.title
    yield "story", f"{row.story_id} of job {row.job_id}"
    yield "subscriber", f"{row.email} ({row.user_id})"
    yield "local date", str(row.local_date)
    yield "written", f"{moment(row.created_at)} UTC by {row.writer}"
    if row.fallback_from:
        yield "instead of", row.fallback_from
    yield "mail", f"{row.delivery_state} ({row.delivery_id})" if row.delivery_id else "none"
    if record.plot:
        yield "plot", record.plot
    if record.names:
        yield "new names", ", ".join(record.names)
    yield "cost", f"{_sum(row)} USD for {row.requests} requests, {_tokens(row.usage)} tokens in, out"


def _tokens(usage: Usage) -> str:
    return f"{usage.input_tokens}, {usage.output_tokens}"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount:.6f}"


def _sum(row: WrittenStory) -> str:
    known = _usd(row.cost_usd)
    return f"{known} and {row.unknown} unknown" if row.unknown else known
